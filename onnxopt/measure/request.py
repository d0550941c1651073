"""What is asked of a measurement, from the command line or from Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from onnxopt.errors import UsageError
from onnxopt.measure import BenchReport, Effort, Variant, bench
from onnxopt.measure.gate import against
from onnxopt.measure.models import Matrix, feeds_of, first_model, variants_of
from onnxopt.measure.run import Progress
from onnxopt.measure.saved import Saved
from onnxopt.target import Feeds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """Models and the conditions to measure them under."""

    models: tuple[Path, ...]
    matrix: Matrix = dataclasses.field(default_factory=Matrix)
    samples: Path | None = None
    """Feeds to run on; made up where there are none."""
    effort: Effort = dataclasses.field(default_factory=Effort)
    against: Path | None = None
    """A run that was kept, which the one model is held to."""
    force: bool = False
    seed: int = 0

    def run(
        self, *, progress: Progress | None = None, tell: Callable[[str], None] | None = None
    ) -> BenchReport:
        """Measure; ``tell`` hears at once of models and providers that are left out.

        Raises UsageError, ModelError and BackendError as ``variants_of`` and ``bench`` do.
        """

        def measure(variants: Sequence[Variant]) -> BenchReport:
            for fault in dict.fromkeys(v.fault for v in variants if v.fault is not None):
                if tell is not None:
                    tell(fault)
            return bench(
                variants,
                feeds=self._feeds(),
                effort=self.effort,
                seed=self.seed,
                progress=progress,
                force=self.force,
            )

        if self.against is None:
            return measure(variants_of(self.models, self.matrix))
        if len(self.models) != 1:
            raise UsageError("--against holds one model to a kept run: give exactly one")
        saved = Saved.read(self.against)
        return against(saved, self.models[0], self.matrix, measure, force=self.force)

    def _feeds(self) -> list[Feeds] | None:
        if self.samples is None:
            return None
        return feeds_of(self.samples, first_model(self.models), self.matrix.batches)
