"""Are two sets of outputs equal up to rounding: a tolerance that is derived, and can be stated."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from onnxopt.elements import Elements, discrete, leaves, scales, wide
from onnxopt.graph import attr_int, graphs, nested, subgraphs
from onnxopt.target import Outputs

_EPS = {"double": 2.0**-52, "float": 2.0**-23, "half": 2.0**-10, "bfloat16": 2.0**-7}


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How far apart two correct results may lie.

    An element may differ by ``growth * eps * (1 + sqrt(depth))`` times its scale. ``eps`` is the
    spacing of the coarsest floating-point type the model computes in; ``depth`` is the number of
    operators on its longest path, whose rounding errors add up like a random walk; ``growth`` is 8
    for 32 and 64 bits, where sums are reordered, and 2 for 16, where only the stores round. The
    scale is the largest magnitude in the smallest slice of at least 64 elements along an axis that
    holds the element (all of the output where there is none), at least 1/4096 of the output's
    largest. Integers, booleans and strings must be equal.

    Where outputs differ by more, the original model itself is asked how well it is conditioned:
    its float inputs and weights are moved by up to 2 ``eps`` and what its operators compute by
    ``eps``, three times, and ``multiple`` times as far as its outputs move is accepted as rounding.
    """

    eps: float = 2.0**-23
    depth: int = 100
    multiple: float = 8.0

    @classmethod
    def of(cls, model: ir.Model) -> Tolerance:
        """Derive the tolerance from a model's types and depth."""
        return cls(eps=_eps(model), depth=_depth(model))

    @property
    def growth(self) -> float:
        """The factor for what one operator rounds."""
        return 8.0 if self.eps <= _EPS["float"] else 2.0

    @property
    def relative(self) -> float:
        """The largest difference, relative to the scale."""
        return self.growth * self.eps * (1 + math.sqrt(self.depth))

    def __str__(self) -> str:
        return (
            f"{self.relative:.1e} of each output's scale "
            f"({self.growth:g} * {self.eps:.2g} * (1 + sqrt({self.depth})) for its depth)"
        )


@dataclasses.dataclass(frozen=True)
class Mismatch:
    """One output that differs by more than rounding explains."""

    output: str
    reason: str
    absolute: float = math.inf
    relative: float = math.inf
    """The worst difference relative to the element's scale."""

    def __str__(self) -> str:
        return f"output '{self.output}': {self.reason}"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a comparison found."""

    mismatches: tuple[Mismatch, ...] = ()
    absolute: float = 0.0
    relative: float = 0.0
    excused: tuple[str, ...] = ()
    """Outputs accepted only because rounding moves the original's as well, with the figures."""

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(
            self.mismatches + other.mismatches,
            max(self.absolute, other.absolute),
            max(self.relative, other.relative),
            tuple(dict.fromkeys(self.excused + other.excused)),
        )


def compare(
    expected: Outputs,
    actual: Outputs,
    tolerance: Tolerance,
    moved: tuple[Outputs, ...] = (),
) -> Comparison:
    """Compare outputs by name; ``moved`` are the original's outputs after tiny disturbances."""
    result = Comparison()
    if expected.keys() != actual.keys():
        missing = sorted(expected.keys() ^ actual.keys())[0]
        return Comparison((Mismatch(missing, "is in one of the two models only"),))
    for name, value in expected.items():
        others = [dict(leaves(name, outputs[name])) for outputs in moved if name in outputs]
        mine, theirs = dict(leaves(name, value)), dict(leaves(name, actual[name]))
        if mine.keys() != theirs.keys():
            reason = f"had {len(mine)} elements and has {len(theirs)}"
            result += Comparison((Mismatch(name, reason),))
            continue
        for leaf, array in mine.items():
            spread = [other[leaf] for other in others if leaf in other]
            result += _compared(leaf, array, theirs[leaf], tolerance, spread)
    return result


def _compared(
    name: str,
    expected: np.ndarray,
    actual: np.ndarray,
    tolerance: Tolerance,
    moved: list[np.ndarray],
) -> Comparison:
    if expected.dtype != actual.dtype or expected.shape != actual.shape:
        was, now = f"{expected.dtype}{list(expected.shape)}", f"{actual.dtype}{list(actual.shape)}"
        return Comparison((Mismatch(name, f"was {was} and is {now}"),))
    moved = [array for array in moved if array.shape == expected.shape]
    if discrete(expected):
        return _exact(name, expected, actual, tolerance, moved)
    if np.array_equal(expected, actual):
        return Comparison()
    return _floating(name, wide(expected), wide(actual), tolerance, [wide(m) for m in moved])


def _exact(
    name: str,
    expected: np.ndarray,
    actual: np.ndarray,
    tolerance: Tolerance,
    moved: list[np.ndarray],
) -> Comparison:
    count = int(np.count_nonzero(expected != actual))
    if not count:
        return Comparison()
    flips = max((int(np.count_nonzero(expected != array)) for array in moved), default=0)
    if flips and count <= tolerance.multiple * flips:
        note = (
            f"'{name}': {count} of {expected.size} differ; rounding in the original flips {flips}"
        )
        return Comparison(excused=(note,))
    place = tuple(int(axis[0]) for axis in np.nonzero(np.atleast_1d(expected != actual)))
    was, now = np.atleast_1d(expected)[place], np.atleast_1d(actual)[place]
    reason = f"{count} of {expected.size} elements differ, the first was {was} and is {now}"
    return Comparison((Mismatch(name, reason),))


def _floating(
    name: str,
    expected: np.ndarray,
    actual: np.ndarray,
    tolerance: Tolerance,
    moved: list[np.ndarray],
) -> Comparison:
    found = Elements.of(expected, actual)
    unsettled = found.strange & ~_any(np.isfinite(m) != np.isfinite(expected) for m in moved)
    if unsettled.any():
        reason = (
            f"{int(unsettled.sum())} of {expected.size} elements differ in being NaN or infinite"
        )
        return Comparison((Mismatch(name, reason),))
    worst = float(found.difference.max(initial=0.0))
    relative = float(found.relative.max(initial=0.0))
    figures = Comparison(absolute=worst, relative=relative)
    if relative <= tolerance.relative:
        return figures
    allowed = tolerance.relative * found.scale + tolerance.multiple * _spread(expected, moved)
    if bool(np.all(found.difference <= allowed)):
        note = (
            f"'{name}' differs by {relative:.1e} of its scale; rounding alone moves the original's "
            f"by {float(_spread(expected, moved).max()):.1e}"
        )
        return dataclasses.replace(figures, excused=(note,))
    reason = (
        f"differs by up to {worst:.3g}, {relative:.2g} of its scale, "
        f"where rounding explains {tolerance.relative:.1e}"
    )
    return dataclasses.replace(figures, mismatches=(Mismatch(name, reason, worst, relative),))


def _any(masks: Iterator[np.ndarray]) -> np.ndarray:
    result: np.ndarray = np.zeros((), dtype=bool)
    for mask in masks:
        result = result | mask
    return result


def _spread(expected: np.ndarray, moved: list[np.ndarray]) -> np.ndarray:
    """Return how far disturbances move each element, by the scale of the difference."""
    result: np.ndarray = np.zeros(expected.shape)
    for array in moved:
        with np.errstate(invalid="ignore"):
            step = np.abs(array - expected)
        result = np.maximum(result, scales(np.where(np.isfinite(step), step, 0)))
    return result


def _eps(model: ir.Model) -> float:
    """Return the spacing of the coarsest type of 16 bits or more that the model computes in."""
    kinds: set[int | None] = {v.dtype for v in (*model.graph.inputs, *model.graph.outputs)}
    for graph in graphs(model):
        for node in graph:
            kinds.update([value.dtype for value in node.outputs])
            if node.op_type == "Cast" and not node.domain:
                kinds.add(attr_int(node, "to", 0))
    if ir.DataType.BFLOAT16 in kinds:
        return _EPS["bfloat16"]
    if ir.DataType.FLOAT16 in kinds:
        return _EPS["half"]
    return _EPS["float"] if kinds != {ir.DataType.DOUBLE} else _EPS["double"]


def _depth(model: ir.Model) -> int:
    """Count the operators on the longest path; a node with graphs inside counts theirs."""
    deepest: dict[ir.Value | None, int] = {}
    for node in model.graph:
        inside = sum(map(len, _inside(node))) if node.attributes.data else 0
        reached = max([deepest.get(value, 0) for value in node.inputs], default=0)
        deepest |= dict.fromkeys(node.outputs, reached + 1 + inside)
    return max(deepest.values(), default=0)


def _inside(node: ir.Node) -> Iterator[ir.Graph]:
    """Yield all graphs inside a node."""
    for body in subgraphs(node):
        yield from nested(body)
