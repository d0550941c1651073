"""What is asked of a quantization."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import onnx_ir as ir

from onnxopt.base import Observer
from onnxopt.quantizer.judge import Budget
from onnxopt.samples import Samples

Progress = Callable[[float, str], None]


def _silent(share: float, text: str) -> None:
    del share, text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a quantization."""

    target: str = "cpu"
    scheme: str | None = None
    """A scheme by name, or a pipeline as text.

    None tries several and takes the fastest that keeps the outputs.
    """
    samples: Path | Samples | None = None
    """Real inputs; made up where there are none, which says little."""
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    skip_passes: tuple[str, ...] = ()
    """Passes to leave out of what optimizes the model first."""
    compare: bool = True
    """Run the model and what becomes of it, to say what is lost.

    Without, a scheme that is asked for by name comes back unseen, and nothing is measured: a model
    that does not fit into memory can be quantized weight by weight.
    """
    measure: bool = True
    """Measure latency here; without, the first scheme that keeps the outputs is taken."""
    check_portability: bool = False
    """Compute what x86 without VNNI makes of the quantized models."""
    sensitivity: bool = False
    """Quantize each layer alone and say what that costs, and what it saves where that is told."""
    budget_s: float = 20.0
    accuracy: Budget | None = None
    """A bound on a metric in the place of the guard's on the signal."""
    state: Path | None = None
    """A file in which a search for the budget keeps what it has found out, and goes on from."""
    keep: Callable[[ir.Model], object] = lambda _: None
    """Takes the best of a search so far, each time it gets better."""
    seed: int = 0
    observers: tuple[Observer, ...] = ()
    progress: Progress = _silent
