"""Prune every exported network: planted zeros leave exactly, and half the MACs can go.

For each model, after the default pipeline: how many groups the coupling analysis finds and why
others have to stay; the outputs after zeros, planted in every group, were cut out, against those
before (normalisations over cut axes take their statistics over what is left, on both sides); and
the model at half its MACs, with the same share of each group gone, smallest L1 first; and what
`onnxopt.prune` makes of it at half its MACs on the recorded feeds. Everything is run by ONNX
Runtime with its optimizer off, at both recorded sizes. Goes on where it was stopped. Writes
results/pruning_coverage.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from common import HERE, Case, add_case_options, cases, read_results, write_results

sys.path.insert(0, str(HERE.parent))

import onnxopt
from onnxopt import graph
from onnxopt.costs import Costs
from onnxopt.coupling import Coupling, Group, Role, couple, cut
from onnxopt.errors import OnnxoptError
from onnxopt.shapes import Dim
from tests.coupling.planted import Feeds, choose, free, plant, restrict, run

RESULT = "pruning_coverage"
FREEZE = "freeze-initializers{overridable=true}"
TARGET = 0.5
CLOSE = 0.03

Keep = Mapping[str, np.ndarray]


def main() -> None:
    """Go through the models."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_case_options(parser)
    parser.add_argument("--again", action="store_true", help="also what is recorded already")
    parser.add_argument("--for", dest="seconds", type=float, default=1e9, help="start none after")
    options = parser.parse_args()
    done = {} if options.again else read_results(RESULT).get("models", {})
    started = time.monotonic()
    for case in cases(options):
        if case.name in done or time.monotonic() - started > options.seconds:
            continue
        found = examine(case)
        write_results(RESULT, {"models": {case.name: found}}, part=True)
        print(line_of(case.name, found), flush=True)


def examine(case: Case) -> dict[str, Any]:
    """Return what is found for one model."""
    try:
        frozen = onnxopt.optimize(case.model, pipeline=FREEZE, verify="off")
        # the same numbers in many kernels, as made-up weights are, would make them one
        model = onnxopt.optimize(frozen, skip=["share-initializers"], verify="off")
    except OnnxoptError as error:
        return {"error": str(error)}
    feeds = recorded(case)
    started = time.perf_counter()
    coupling = couple(model)
    found: dict[str, Any] = {
        "nodes": len(list(model.graph)),
        "seconds": round(time.perf_counter() - started, 2),
        **described(coupling),
    }
    for name, figure in (("exact", exactness), ("half", halved), ("pruned", pruned)):
        try:
            found[name] = figure(model.clone(), coupling, feeds)
        except Exception as error:
            found[name] = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
    return found


def recorded(case: Case) -> list[Feeds]:
    """Return the recorded feeds of a model, one for each size."""
    return [dict(np.load(path)) for path in sorted(case.folder.glob("feeds_*.npz"))]


def described(coupling: Coupling) -> dict[str, Any]:
    """Return how many groups and units may shrink, and why others may not."""
    able = free(coupling)
    why: dict[str, int] = {}
    for group in coupling.groups:
        if group.blocked:
            why[group.blocked] = why.get(group.blocked, 0) + 1
    return {
        "groups": len(able),
        "units": sum(group.units for group in able),
        "over_normalised_axes": sum(bool(group.normalised) for group in able),
        "blocked": why,
        "without_row": {name: len(nodes) for name, nodes in coupling.without_row.items()},
    }


def exactness(model: ir.Model, _: Coupling, feeds: Sequence[Feeds]) -> dict[str, Any]:
    """Plant zeros in every group, cut them out; return the largest relative error."""
    groups = free(couple(model))
    keep = choose(groups)
    plant(model, groups, keep)
    reference = restrict(model.clone(), keep)
    before = [run(reference, one) for one in feeds]
    removed = cut(model, keep)
    after = [run(model, one) for one in feeds]
    errors = [
        relative(new, old)
        for one, other in zip(after, before, strict=True)
        for new, old in zip(one, other, strict=True)
    ]
    return {"removed": removed, "error": max(errors), "runs": len(feeds)}


def relative(new: np.ndarray, old: np.ndarray) -> float:
    """Return the largest difference over the largest value; 1 for another shape."""
    if new.shape != old.shape:
        return 1.0
    if not new.size:
        return 0.0
    new, old = new.astype(np.float64), old.astype(np.float64)
    finite = np.isfinite(old)
    if not np.array_equal(np.isfinite(new), finite):
        return 1.0
    gap, size = np.abs(new - old)[finite], np.abs(old)[finite]
    return float(gap.max(initial=0) / max(size.max(initial=0), 1e-12))


def halved(model: ir.Model, _: Coupling, feeds: Sequence[Feeds]) -> dict[str, Any]:
    """Cut a model to half its MACs; return what came of it."""
    sizes = sizes_of(model, feeds[0])
    whole = macs_of(model, sizes)
    if not whole:
        return {"macs": 0, "ratio": 1.0, "removed": 0, "missed": ["no MACs are counted in it"]}
    groups = free(couple(model))
    narrow = [group for group in groups if not group.normalised]
    ranks = {group.name: ranking(group) for group in groups}
    chosen, reached = nearest(model, narrow, ranks, whole, sizes)
    with_width = reached > TARGET * (1 + CLOSE) and len(narrow) < len(groups)
    if with_width:
        chosen, reached = nearest(model, groups, ranks, whole, sizes)
    removed = cut(model, chosen)
    outputs = [[list(array.shape) for array in run(model, one)] for one in feeds]
    return {
        "macs": whole,
        "ratio": reached,
        "removed": removed,
        "with_normalised_axes": with_width,
        "runs": len(outputs),
        "missed": missed(reached, couple(model)),
    }


def pruned(model: ir.Model, _: Coupling, feeds: Sequence[Feeds]) -> dict[str, Any]:
    """Prune as a user would, two feeds for samples; return what is left and that it runs."""
    started = time.perf_counter()
    thin, report = onnxopt.prune_with_report(
        model, macs=TARGET, samples=list(feeds), ratios="layers", measure=False
    )
    for one in feeds:
        run(thin, one)
    return {
        "ratio": report.after.macs / max(report.before.macs, 1),
        "reached": report.reached,
        "refitted": len(report.layers),
        "seconds": round(time.perf_counter() - started, 1),
    }


def missed(reached: float, coupling: Coupling) -> list[str]:
    """Return why the target was missed: the reasons of the groups that stay, most first."""
    if abs(reached / TARGET - 1) <= CLOSE:
        return []
    if reached < TARGET:
        return ["one unit more of any group is farther from it"]
    reasons = described(coupling)["blocked"]
    return sorted(reasons, key=lambda reason: -reasons[reason])[:3] or ["it has no units"]


def sizes_of(model: ir.Model, feeds: Feeds) -> dict[str, int]:
    """Return sizes by the name of an extent, as these feeds have them."""
    found = {}
    for value in model.graph.inputs:
        array = feeds.get(value.name or "")
        if array is None:
            continue
        for axis, dim in enumerate(graph.dims(value) or ()):
            if not isinstance(dim, int):
                found[dim or f"{value.name}:{axis}"] = array.shape[axis]
    return found


def macs_of(model: ir.Model, sizes: Mapping[str, int]) -> int:
    """Return the MACs of a model at these sizes."""
    found = Costs.of(model, sizes).macs
    if isinstance(found, Dim):
        raise ValueError(f"its MACs are {found}")
    return found


def ranking(group: Group) -> np.ndarray:
    """Return the units of a group, the ones of the largest L1 norm first."""
    score = np.zeros(group.units)
    for member in group.members:
        held = graph.tensor(member.value)
        if member.role is Role.CARRIES or held is None:
            continue
        size = np.abs(held.numpy().astype(np.float64))
        each = size.sum(axis=tuple(axis for axis in range(size.ndim) if axis != member.axis))
        score += each[member.positions].sum(axis=1)
    return np.argsort(-score, kind="stable")


def nearest(
    model: ir.Model,
    groups: Sequence[Group],
    ranks: Mapping[str, np.ndarray],
    whole: int,
    sizes: Mapping[str, int],
) -> tuple[dict[str, np.ndarray], float]:
    """Return what to keep so that the share of the MACs is nearest to the target, and that share.

    The same share of all groups first, by bisection; then the groups one after the other.
    """

    def share(keep: Keep) -> float:
        trial = model.clone()
        cut(trial, keep)
        return macs_of(trial, sizes) / whole

    def kept(part: float) -> dict[str, np.ndarray]:
        return {
            group.name: np.sort(ranks[group.name][: max(1, round(part * group.units))])
            for group in groups
        }

    least = share(kept(0.0))
    if least >= TARGET:
        return kept(0.0), least
    low, high = bisect(lambda part: share(kept(part)), 10)
    chosen, reached = between(kept(low), kept(high), share)
    if abs(reached / TARGET - 1) > CLOSE:
        return by_units(kept(low), groups, ranks, share)
    return chosen, reached


def by_units(
    keep: dict[str, np.ndarray],
    groups: Sequence[Group],
    ranks: Mapping[str, np.ndarray],
    share: Callable[[Keep], float],
) -> tuple[dict[str, np.ndarray], float]:
    """Give single units back, each time the one that comes nearest to the target."""
    best = share(keep)
    while True:
        more = {
            group.name: {
                **keep,
                group.name: np.sort(ranks[group.name][: len(keep[group.name]) + 1]),
            }
            for group in groups
            if len(keep[group.name]) < group.units
        }
        shares = {name: share(trial) for name, trial in more.items()}
        name = min(shares, key=lambda name: abs(shares[name] - TARGET), default="")
        if not name or abs(shares[name] - TARGET) >= abs(best - TARGET):
            return keep, best
        keep, best = more[name], shares[name]


def bisect(share: Callable[[float], float], steps: int) -> tuple[float, float]:
    """Return two parts of the units around the target."""
    low, high = 0.0, 1.0
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) < TARGET else (low, middle)
    return low, high


def between(
    small: dict[str, np.ndarray], large: dict[str, np.ndarray], share: Callable[[Keep], float]
) -> tuple[dict[str, np.ndarray], float]:
    """Take groups from the larger choice, as many as come nearest to the target."""
    names = [name for name in small if len(small[name]) != len(large[name])]
    below, above = 0, len(names)
    tried: dict[int, float] = {}

    def mixed(count: int) -> dict[str, np.ndarray]:
        return {**small, **{name: large[name] for name in names[:count]}}

    for count in (below, above):
        tried[count] = share(mixed(count))
    while above - below > 1:
        middle = (below + above) // 2
        tried[middle] = share(mixed(middle))
        below, above = (middle, above) if tried[middle] < TARGET else (below, middle)
    best = min(tried, key=lambda count: abs(tried[count] - TARGET))
    return mixed(best), tried[best]


def line_of(name: str, found: Mapping[str, Any]) -> str:
    """Return one line for the console."""
    if "error" in found:
        return f"{name:34s} {found['error']}"
    exact, half = found["exact"]["error"], found["half"]
    return (
        f"{name:34s} {found['groups']:4d} groups {found['units']:6d} units, error {exact}, "
        f"MACs {half.get('ratio', half.get('error'))} pruned "
        f"{found['pruned'].get('ratio', found['pruned'].get('error'))} "
        f"{json.dumps(found['without_row'])}"
    )


if __name__ == "__main__":
    main()
