"""Is the export what the framework computes: compared on examples, at more than one size."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt import lossless
from onnxopt.elements import discrete
from onnxopt.errors import OnnxoptError
from onnxopt.framework import RefusedError
from onnxopt.target import Feeds, Outputs
from onnxopt.verify import Tolerance, checked
from onnxopt.verify.reference import Reference

_FLIPPED = 0.01
"""The share of labels that rounding may flip."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """Feeds with what the framework computes from them."""

    label: str
    feeds: Feeds
    expected: Outputs


@dataclasses.dataclass(frozen=True)
class Agreed:
    """One trial on which the export computes what the framework does."""

    label: str
    relative: float
    """The worst difference of an element, by its scale."""
    excused: tuple[str, ...] = ()
    """Outputs that differ no more than rounding moves the export's own."""

    def __str__(self) -> str:
        if self.excused:
            return (
                f"{self.label}: apart by up to {self.relative:.1e} of the scale, as far as "
                "rounding moves the export itself"
            )
        how = f"within {self.relative:.1e} of the scale" if self.relative else "to the bit"
        return f"{self.label}: equal {how}"


class Judge:
    """Runs one export, as it is written, on one trial after the other."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._evaluate = lossless.reference()
        self._tolerance = Tolerance.of(model)

    def verdicts(self, trials: Sequence[Trial]) -> Iterable[Agreed]:
        """Yield what was found on each trial.

        Raises RefusedError at the first that the export does not run or computes otherwise.
        """
        fault = checked(self._model)
        if fault is not None:
            raise RefusedError(f"the export is no valid model: {fault}")
        try:
            with self._evaluate.opened(self._model) as run:
                for trial in trials:
                    try:
                        computed = run(trial.feeds)
                    except OnnxoptError as error:
                        raise RefusedError(f"at {trial.label} it does not run: {error}") from error
                    yield self._compared(trial, computed)
        except RefusedError:
            raise
        except OnnxoptError as error:
            raise RefusedError(str(error)) from error

    def _compared(self, trial: Trial, computed: Outputs) -> Agreed:
        reference = Reference(
            self._model.clone, self._evaluate, self._tolerance, [trial.feeds], [computed]
        )
        found = reference.against([trial.expected])
        if found.mismatches:
            worst = max(found.mismatches, key=lambda mismatch: mismatch.relative)
            raise RefusedError(f"at {trial.label} it computes something else: {worst}")
        flipped = _flipped(trial.expected, computed)
        if flipped:
            raise RefusedError(f"at {trial.label} it computes something else: {flipped}")
        return Agreed(trial.label, found.relative, found.excused)


def _flipped(expected: Outputs, computed: Outputs) -> str:
    """Return which output of whole numbers or texts differs in more than 1 % of its elements.

    Rounding flips a label here and there. An export that rounds probabilities until they tie flips
    as many of its own, which must not excuse it.
    """
    for name, value in expected.items():
        if isinstance(value, np.ndarray) and discrete(value):
            differ = int(np.count_nonzero(value != computed[name]))
            if differ > _FLIPPED * value.size:
                return f"'{name}' differs in {differ} of {value.size} elements"
    return ""
