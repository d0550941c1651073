"""Two models side by side: the nodes of each that compute the same values."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import NamedTuple

from onnxopt.profiling.regions import Step, producers, region
from onnxopt.profiling.report import PairRow, change_of
from onnxopt.profiling.rows import Timed, together
from onnxopt.profiling.work import Graphs


class Side(NamedTuple):
    """One of the two models: the graph that ran and what its nodes took."""

    graphs: Graphs
    nodes: Sequence[Timed]
    steps: Sequence[Step | None]


def pair(before: Side, after: Side) -> list[PairRow]:
    """Cut both graphs along the values that both compute; the surest large change comes first.

    A value has the same name in both models: rewriting keeps that, whatever becomes of the names
    of the nodes. What lies behind no value of that kind is a row without a name.
    """
    owners = [_owners(side) for side in (before, after)]
    shared = owners[0].keys() & owners[1].keys()
    if not shared:
        return []
    cut = [_cut(side, owner, shared) for side, owner in zip((before, after), owners, strict=True)]
    values = dict.fromkeys([*cut[0], *cut[1]])
    rows = [_row(value, cut[0].get(value, []), cut[1].get(value, [])) for value in values]
    return sorted(rows, key=_importance, reverse=True)


def _row(value: str, before: Sequence[Timed], after: Sequence[Timed]) -> PairRow:
    return PairRow(
        value=value,
        before=tuple(each.node.op_type for each in before),
        after=tuple(each.node.op_type for each in after),
        before_s=sum(each.seconds for each in before),
        after_s=sum(each.seconds for each in after),
        change=change_of(together(before), together(after)),
    )


def _importance(row: PairRow) -> tuple[float, float]:
    """Return the change that is sure, then the change as measured."""
    low, high = row.change.low, row.change.high
    return max(low, -high, 0.0), abs(row.change.value)


def _owners(side: Side) -> dict[str, Step]:
    """Return the node that computes each of the model's own values."""
    values = side.graphs.origins.values
    return {value: step for step in side.graphs.executed for value in values[step]}


def _cut(side: Side, owners: dict[str, Step], shared: set[str]) -> dict[str, list[Timed]]:
    """Return the nodes of each region, by the value at its end; '' for those of none."""
    node_of = {step: node for step, node in zip(side.steps, side.nodes, strict=True) if step}
    made = producers(side.graphs.executed)
    bounds = {name for value in shared for name in owners[value].outputs}
    left = dict.fromkeys(side.graphs.executed)
    found: dict[str, list[Timed]] = collections.defaultdict(list)
    values = side.graphs.origins.values
    for step in side.graphs.executed:
        value = next((value for value in values[step] if value in shared), None)
        if value is None or not step.outputs:
            continue
        for part in region(step.outputs[0], made, bounds):
            if part in left:
                del left[part]
                if part in node_of:
                    found[value].append(node_of[part])
    found[""] += [node_of[step] for step in left if step in node_of]
    return {value: nodes for value, nodes in found.items() if nodes}
