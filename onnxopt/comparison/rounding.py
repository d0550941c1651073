"""Does rounding explain a difference: the samples that are furthest off, looked at closely."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import onnx_ir as ir

from onnxopt.comparison.sides import Side, in_types_of
from onnxopt.evaluate import Evaluator
from onnxopt.target import Feeds, Outputs
from onnxopt.verify import Comparison, Tolerance
from onnxopt.verify.reference import GIVEN, Reference


@dataclasses.dataclass(frozen=True)
class _Suspect:
    excess: float
    feeds: Feeds
    expected: Outputs
    actual: Outputs


class Suspects:
    """Keeps the few samples whose outputs differ most beyond the tolerance."""

    def __init__(self, tolerance: Tolerance) -> None:
        self._tolerance = tolerance
        self._kept: list[_Suspect] = []

    def consider(self, excess: float, feeds: Feeds, expected: Outputs, actual: Outputs) -> None:
        """Keep a sample if its largest relative error is beyond the tolerance and others' kept."""
        if excess > self._tolerance.relative:
            self._kept.append(_Suspect(excess, feeds, expected, in_types_of(expected, actual)))
            self._kept.sort(key=lambda suspect: -suspect.excess)
            del self._kept[GIVEN:]

    def excused(self, side: Side, load: Callable[[], ir.Model]) -> dict[str, str]:
        """Disturb the first model by its last bits; return by output what that accounts for.

        Nothing is returned where some output of some sample kept moves less than it differs.
        """
        if not self._kept:
            return {}
        reference = Reference(
            load=load,
            evaluate=Evaluator(side.backend),
            tolerance=self._tolerance,
            feeds=[suspect.feeds for suspect in self._kept],
            expected=[suspect.expected for suspect in self._kept],
        )
        found = reference.against([suspect.actual for suspect in self._kept])
        return _by_output(found) if not found.mismatches else {}


def _by_output(found: Comparison) -> dict[str, str]:
    """Return the excuses by the output that they name at their beginning."""
    named = [(re.match(r"'([^']*)'", text), text) for text in found.excused]
    return {name[1]: text for name, text in named if name is not None}
