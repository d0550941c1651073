"""What is asked of a deployment."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

from onnxopt.exporter.notation import Axes
from onnxopt.measure.run import Progress
from onnxopt.samples import Samples


def _silent(share: float, text: str) -> None:
    del share, text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a deployment."""

    folder: Path
    """Takes every file; stages that are done in it already are not done again."""
    samples: Path | Samples | None = None
    """Real inputs, with labels where there are any."""
    inputs: Any = None
    dynamic: Axes | Literal["none"] | None = None
    outputs: tuple[str, ...] = ()
    target: str = "cpu"
    quantize: bool = True
    scheme: str | None = None
    """A scheme of quantization, or a pipeline as text; None tries several."""
    metrics: tuple[str, ...] = ()
    max_drop: float = 0.01
    """How much of the first metric quantization may cost, in its own unit."""
    check_portability: bool = False
    """Compute what x86 without VNNI makes of the quantized models."""
    measure: bool = True
    again: bool = False
    """Measure again what was measured in the folder before; the rest is kept."""
    skip_passes: tuple[str, ...] = ()
    """Passes to leave out."""
    budget_s: float = 20.0
    """Seconds for each measurement: in quantizing, of the candidates, of ways to open, as it ships.

    Each starts at least five processes a model, which may take longer.
    """
    seed: int = 0
    progress: Progress = _silent
