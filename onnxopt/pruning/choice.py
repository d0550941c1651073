"""Which channels go, and how many of each group, in one step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context
from onnxopt.coupling import couple, cut
from onnxopt.errors import UsageError
from onnxopt.feeds import sizes_of
from onnxopt.layers import matrices
from onnxopt.pruning.allocate import allocate, uniform
from onnxopt.pruning.amounts import Counted, Gauge
from onnxopt.pruning.branches import leave_out
from onnxopt.pruning.candidates import Candidate, Limits, Read, Scales, candidates
from onnxopt.pruning.options import Importance, Ratios, Recover
from onnxopt.pruning.refit import FEW
from onnxopt.pruning.sensitivity import POSITIONS, Probing, Ranked, Ranking
from onnxopt.target import Feeds

WORK = 3e12
"""Multiply-adds that probing may take."""
FEWEST, IMAGES, PROBES = 64, 1024, 7
"""Images that probing takes at least, where work allows, and at most; widths of each group."""
SPARED = 4
"""Where rows are few, one feed of so many is probed on and not ranked on: what few samples make up
for on themselves, they need not on others."""
TOLERANCE = 0.01
"""How far from the target the result may be, as a share of it, before it is corrected."""
REACHED = 0.03
"""How far above the target still counts as reached."""
_AIMS = 5

Gone = Mapping[str, np.ndarray]
"""The units of each group that are zero already."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a pruning."""

    share: float
    """What is left of the amount."""
    importance: Importance = "reconstruction"
    ratios: Ratios = "outputs"
    recover: Recover = "refit"
    steps: int = 1
    """In how many equal ratios the share is reached, each ranked and refitted anew."""
    limits: Limits = dataclasses.field(default_factory=Limits)
    scales: Scales = dataclasses.field(default_factory=dict)
    """What normalisations scaled before they were folded into what makes a value."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UsageError(f"steps={self.steps}: give 1 or more")


def shrink(model: ir.Model, found: Sequence[Candidate], gone: Gone) -> None:
    """Take the units of candidates away, and branches of which nothing is left.

    The model may be another with the same groups, in which what is gone is zero.
    """
    cut(model, {one.name: _kept(one, gone[one.name]) for one in found if len(gone[one.name])})
    ended = [one for one in found if len(gone[one.name]) == one.group.units]
    leave_out(model, [each for one in ended for each in one.branches])


def _kept(one: Candidate, gone: np.ndarray) -> np.ndarray:
    """Return the units that stay: one if none does, for no axis may be empty."""
    left = np.setdiff1d(np.arange(one.group.units), gone)
    return left if len(left) else gone[-1:]


class Choice:
    """Chooses units of a model in which those that are gone already are zero."""

    def __init__(self, model: ir.Model, request: Request, gauge: Gauge, context: Context) -> None:
        self._model, self._request, self._gauge = model, request, gauge
        self._context = context
        self._found = candidates(couple(model).groups, request.limits)

    def run(
        self, feeds: Sequence[Feeds], before: float, share: float, gone: Gone
    ) -> tuple[list[Ranked], dict[str, int]]:
        """Rank the units and find widths at which a share of what there was before is left.

        Groups that normalisations read are left alone unless the others are not enough.
        """
        wanted = share * before
        found = [_narrowed(one, len(gone[one.name])) for one in self._found]
        exact = [one for one in found if one.exact or len(gone[one.name])]
        ranked, widths = self._chosen(exact, feeds, before, wanted, gone)
        if widths is None and len(exact) < len(found):
            ranked, widths = self._chosen(found, feeds, before, wanted, gone)
        if widths is None:
            widths = {one.candidate.name: one.candidate.widths[-1] for one in ranked}
        return ranked, widths

    def _chosen(
        self,
        found: Sequence[Candidate],
        feeds: Sequence[Feeds],
        before: float,
        wanted: float,
        gone: Gone,
    ) -> tuple[list[Ranked], dict[str, int] | None]:
        """Rank candidates and find widths that reach the target; None where none do."""
        scarce = self._scarce(found, feeds)
        probes, count = self._effort(found, feeds, scarce=scarce)
        tried = {one.name: _spread(one.widths, probes) for one in found}
        request = self._request
        ranking = Ranking(self._model, self._context, request.importance, tried, request.scales)
        probed = _apart(len(feeds), count)
        spared = set(probed) if scarce and len(feeds) >= SPARED else set()
        ranked = ranking.run(
            found, [each for at, each in enumerate(feeds) if at not in spared], gone
        )
        if self._request.ratios == "outputs":
            Probing(self._model, self._context, [feeds[at] for at in probed]).run(ranked)
        for one in ranked if self._request.ratios != "outputs" else ():
            one.costs = one.scored() if self._request.ratios == "importance" else one.losses()
        return ranked, self._widths(ranked, before, wanted, gone)

    def _effort(
        self, found: Sequence[Candidate], feeds: Sequence[Feeds], *, scarce: bool
    ) -> tuple[int, int]:
        """Return how many widths of each group are probed, and on how many feeds."""
        if self._request.ratios != "outputs":
            return 0, 0
        macs = Counted("macs", sizes_of(self._model, feeds[0])).measured(self._model)
        batch = max((len(array) for array in feeds[0].values() if array.ndim), default=1)
        most = min(len(feeds), math.ceil(IMAGES / batch))
        for probes in (PROBES, 3, 2):
            count = int(2 * WORK / max(macs * len(found) * probes, 1.0))
            if count >= min(most, math.ceil(FEWEST / batch)):
                break
        if scarce:
            most = min(most, len(feeds) // SPARED or len(feeds))
        return probes, min(max(count, 1), most)

    def _scarce(self, found: Sequence[Candidate], feeds: Sequence[Feeds]) -> bool:
        """Return whether some layer sees few rows for each of its columns."""
        images = sum(max((len(a) for a in each.values() if a.ndim), default=1) for each in feeds)
        return any(
            images * _places(read) < FEW * matrices.matrix(read.layer).shape[-1]
            for one in found
            for read in one.reads
        )

    def _widths(
        self, ranked: Sequence[Ranked], before: float, wanted: float, gone: Gone
    ) -> dict[str, int] | None:
        """Allocate; where the cut model has another amount than foretold, aim anew."""
        found = [one.candidate for one in ranked]
        estimate = self._gauge.estimate(self._model, found)
        aim = estimate.total({}) - (before - wanted)
        solve = uniform if self._request.ratios == "uniform" else allocate
        costs = {one.candidate.name: one.costs for one in ranked}
        tried: list[tuple[float, dict[str, int]]] = []
        for _ in range(_AIMS):
            widths = solve(costs, estimate, aim)
            if widths is None or any(widths == known for _, known in tried):
                break
            missed = self._gauge.measured(self._trial(ranked, widths, gone)) / wanted - 1
            tried.append((missed, widths))
            if abs(missed) <= TOLERANCE:
                break
            aim -= missed * wanted
        return _nearest(tried)

    def _trial(self, ranked: Sequence[Ranked], widths: Mapping[str, int], gone: Gone) -> ir.Model:
        """Return the model as small as it would be."""
        trial = self._model.clone()
        now = {one.candidate.name: one.gone(widths[one.candidate.name]) for one in ranked}
        shrink(trial, self._found, {**gone, **now})
        return trial


def _apart(size: int, count: int) -> list[int]:
    """Return so many places in a stream, evenly apart: neighbours may be of one class."""
    return [(2 * at + 1) * size // (2 * count) for at in range(count)]


def _places(read: Read) -> int:
    """Return how many places of each image a layer is looked at in, as far as shapes are known."""
    shape = graph.dims(read.layer.node.outputs[0]) or ()
    between = shape[2:] if read.layer.node.op_type == "Conv" else shape[1:-1]
    known = [size if isinstance(size, int) else POSITIONS for size in between]
    return min(math.prod(known), POSITIONS)


def _nearest(tried: Sequence[tuple[float, dict[str, int]]]) -> dict[str, int] | None:
    """Return the widths that miss the target least, and by little if it is too much."""
    for most in (TOLERANCE, REACHED):
        near = [each for each in tried if -REACHED <= each[0] <= most]
        if near:
            return max(near, key=lambda each: each[0])[1]
    small = [each for each in tried if each[0] <= REACHED]
    if small:
        return max(small, key=lambda each: each[0])[1]
    return min(tried, key=lambda each: each[0])[1] if tried else None


def _narrowed(one: Candidate, gone: int) -> Candidate:
    """Return a candidate of which so many units are gone already."""
    left = one.group.units - gone
    widths = tuple(width for width in one.widths if width <= left)
    return dataclasses.replace(one, widths=widths)


def _spread(widths: Sequence[int], count: int) -> tuple[int, ...]:
    """Return ``count`` widths, evenly apart, of those below the whole."""
    below = widths[1:]
    if len(below) <= count:
        return tuple(below)
    at = np.linspace(0, len(below) - 1, count + 2).round().astype(int)[1:-1]
    last = (0,) if count and not below[-1] else ()
    return (*(below[i] for i in np.unique(at).tolist()), *last) if count else ()
