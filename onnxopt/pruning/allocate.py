"""Widths for all groups that reach a target and cost the outputs least."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

from onnxopt.pruning.amounts import Estimate
from onnxopt.pruning.knapsack import Option, knapsack

ROUNDS = 12

Costs = Mapping[str, Mapping[int, float]]
"""What each group costs at each of the widths that it may have, by name and width."""


def allocate(costs: Costs, estimate: Estimate, target: float) -> dict[str, int] | None:
    """Return widths at which the estimate is at most ``target``; None where none are so small.

    What a group saves depends on the widths of its neighbours, so the knapsack is filled again and
    again with the savings at the last solution; the cheapest that reaches the target counts.
    """
    allowed = {name: _monotonic(each) for name, each in costs.items()}
    full = {name: max(each) for name, each in allowed.items()}
    least = {name: min(each) for name, each in allowed.items()}
    if estimate.total(full) <= target:
        return full
    if estimate.total(least) > target:
        return None
    current, best = full, least
    for _ in range(ROUNDS):
        found = _filled(allowed, estimate, target, current, full)
        if found is None:
            found = least
        if estimate.total(found) <= target and _cost(allowed, found) < _cost(allowed, best):
            best = found
        if found == current:
            break
        current = found
    return _widened(allowed, estimate, target, best)


def uniform(costs: Costs, estimate: Estimate, target: float) -> dict[str, int] | None:
    """Return widths that are the same share of every group, as nearly as they may be."""

    def at(share: float) -> dict[str, int]:
        return {name: _nearest(each, share * max(each)) for name, each in costs.items()}

    left = [each for each in costs.values() if max(each)]
    shares = sorted({w / max(each) for each in left for w in each}, reverse=True)
    middles = [(one + other) / 2 for one, other in itertools.pairwise(shares)]
    for share in sorted({*shares, *middles}, reverse=True):
        found = at(share)
        if estimate.total(found) <= target:
            return found
    return None


def _nearest(widths: Iterable[int], wanted: float) -> int:
    return min(widths, key=lambda width: (abs(width - wanted), width))


def _monotonic(costs: Mapping[int, float]) -> dict[int, float]:
    """Let no width cost less than a wider one, which is noise; leave out what cannot be."""
    found: dict[int, float] = {}
    highest = 0.0
    for width in sorted(costs, reverse=True):
        if math.isfinite(costs[width]):
            highest = max(highest, costs[width])
            found[width] = highest
    return found


def _cost(costs: Costs, widths: Mapping[str, int]) -> float:
    return sum(costs[name][width] for name, width in widths.items())


def _filled(
    costs: Costs,
    estimate: Estimate,
    target: float,
    current: Mapping[str, int],
    full: Mapping[str, int],
) -> dict[str, int] | None:
    """Fill the knapsack with savings as they are while the other groups stay as they are."""
    names = list(costs)
    options: list[Sequence[Option]] = []
    wanted = estimate.total(current) - target
    for name in names:
        whole = estimate.total({**current, name: full[name]})
        saved = {w: whole - estimate.total({**current, name: w}) for w in costs[name]}
        options.append([Option(cost, saved[width]) for width, cost in costs[name].items()])
        wanted += saved[current[name]]
    chosen = knapsack(options, wanted)
    if chosen is None:
        return None
    return {n: list(costs[n])[at] for n, at in zip(names, chosen, strict=True)}


def _widened(
    costs: Costs, estimate: Estimate, target: float, widths: Mapping[str, int]
) -> dict[str, int]:
    """Give what the target leaves to the groups that gain most of it."""
    found = dict(widths)
    while True:
        best, gain = None, 0.0
        for name, width in found.items():
            wider = min((w for w in costs[name] if w > width), default=None)
            if wider is None or estimate.total({**found, name: wider}) > target:
                continue
            saved = costs[name][width] - costs[name][wider]
            if best is None or saved > gain:
                best, gain = (name, wider), saved
        if best is None:
            return found
        found[best[0]] = best[1]
