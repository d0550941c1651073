"""From records to the rows of a report."""

from __future__ import annotations

import collections
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from onnxopt.measure.intervals import Estimate, estimate, middle
from onnxopt.profiling.fusion import Origins
from onnxopt.profiling.overhead import Charge
from onnxopt.profiling.peaks import Peaks
from onnxopt.profiling.record import Record
from onnxopt.profiling.regions import Step
from onnxopt.profiling.report import Fusion, NodeRow, OperatorRow
from onnxopt.profiling.roofline import RESOLUTION_S, Roof, roof
from onnxopt.profiling.tally import NodeTally
from onnxopt.profiling.work import Graphs, placed

_WORTH_AN_INTERVAL = 0.01
_CLOCK_S = 1.96 * RESOLUTION_S / math.sqrt(12)
"""Half a 95 % interval of what one time loses when it is cut off to whole microseconds."""


class Timed(NamedTuple):
    """A node in all launches: seconds a run of each block, what recording adds taken off."""

    node: NodeTally
    rows: list[list[float]]

    @property
    def seconds(self) -> float:
        """The mean over launches of the middle of their blocks, not below zero."""
        return max(_mean(self.rows), 0.0)

    @property
    def device_s(self) -> float:
        """The kernels' own time on a device; 0 where they run on the host."""
        return statistics.fmean(self.node.device) if self.node.device else 0.0

    @property
    def spent_s(self) -> float:
        """What it takes of a run: starting a kernel is not what the kernel takes."""
        return self.device_s or self.seconds


def timed(record: Record, charge: Charge) -> list[Timed]:
    """Put the launches of a record together: the same nodes, in the order of the first one."""
    found: dict[tuple[object, ...], Timed] = {}
    for launch in record.nodes:
        met: collections.Counter[tuple[object, ...]] = collections.Counter()
        for node in launch:
            name = (node.depth, node.node, node.op_type, node.provider)
            key = (*name, met[name])
            met[name] += 1
            row = [seconds - charge.of(node) for seconds in node.blocks]
            found.setdefault(key, Timed(node, [])).rows.append(row)
    return [each for each in found.values() if any(each.rows)]


def node_rows(
    nodes: Sequence[Timed], graphs: Graphs | None, peaks: Peaks | None, charge: Charge
) -> tuple[list[NodeRow], list[Step | None]]:
    """Return a row for each node, in their order, and what it is in the graph that ran."""
    ran = [each.node for each in nodes]
    steps = placed(ran, graphs.executed if graphs else [])
    whole = sum(each.spent_s for each in nodes) or 1.0
    rows = [
        _node_row(each, step, graphs, peaks, charge, whole)
        for each, step in zip(nodes, steps, strict=True)
    ]
    return rows, steps


def _node_row(
    each: Timed,
    step: Step | None,
    graphs: Graphs | None,
    peaks: Peaks | None,
    charge: Charge,
    whole: float,
) -> NodeRow:
    node, share = each.node, each.spent_s / whole
    parts = graphs.origins.of[step] if graphs and step else ()
    macs = graphs.macs(step) if graphs and step else None
    moved = _moved(node, graphs, step)
    place: Roof | None = None
    if peaks and macs is not None and moved is not None:
        place = roof(node, macs, moved, peaks, charge.least_s)
    return NodeRow(
        node=(step and _name(step)) or node.node,
        op_type=node.op_type,
        domain=step.domain if step else "",
        provider=node.provider,
        depth=node.depth,
        count=node.count,
        seconds=each.seconds,
        interval=together([each]) if share >= _WORTH_AN_INTERVAL else None,
        recorded_s=_mean(each.rows) + charge.of(node),
        device_s=each.device_s,
        share=share,
        stands_for=tuple(part.op_type for part in parts),
        origins=tuple(_name(part) for part in parts),
        values=graphs.origins.values[step] if graphs and step else (),
        macs=macs,
        moved_bytes=moved,
        kind=place.kind if place else None,
        attainable_s=place.attainable_s if place else None,
        bound=place.bound if place else None,
    )


def _name(step: Step) -> str:
    return step.name or next(iter(step.outputs), "")


def _moved(node: NodeTally, graphs: Graphs | None, step: Step | None) -> float | None:
    """Return the bytes that a node moves: as counted where it is as it was, or as recorded."""
    counted = graphs.moved(step) if graphs and step else None
    if counted is not None:
        return counted
    varying = graphs is not None and len(graphs.costs) > 1  # recorded of the first sample only
    if varying or (not node.inputs and not node.outputs):
        return None
    return (node.activation_bytes + node.weight_bytes + node.output_bytes) * node.count


def operator_rows(nodes: Sequence[Timed], rows: Sequence[NodeRow]) -> list[OperatorRow]:
    """Return a row for each operator, the one that takes longest first."""
    groups: dict[tuple[str, str], list[int]] = {}
    for at, row in enumerate(rows):
        groups.setdefault((row.domain, row.op_type), []).append(at)
    found = []
    for (domain, op_type), places in groups.items():
        mine = [rows[at] for at in places]
        found.append(
            OperatorRow(
                op_type=op_type,
                domain=domain,
                nodes=len(mine),
                seconds=sum(row.seconds for row in mine),
                interval=together([nodes[at] for at in places]),
                device_s=sum(row.device_s for row in mine),
                spent_s=sum(row.spent_s for row in mine),
                share=sum(row.share for row in mine),
                macs=_known(row.macs for row in mine),
                attainable_s=_known(row.attainable_s for row in mine),
                gain_s=sum(row.gain_s for row in mine),
            )
        )
    return sorted(found, key=lambda row: -row.spent_s)


def together(nodes: Sequence[Timed]) -> Estimate | None:
    """Estimate the sum of several nodes, block by block; None for none.

    The interval allows for the clock, which hides in every block what it hides in one, and reaches
    to the sum of the nodes' own figures, which on a busy machine can lie beyond.
    """
    launches = min((len(each.rows) for each in nodes), default=0)
    rows = [
        [sum(blocks) for blocks in zip(*(each.rows[launch] for each in nodes), strict=False)]
        for launch in range(launches)
    ]
    found = estimate(rows)
    if found is None:
        return None
    clock = _CLOCK_S * math.sqrt(sum(each.node.count for each in nodes))
    below, above = (math.hypot(end - found.value, clock) for end in (found.low, found.high))
    figure = sum(each.seconds for each in nodes)
    low, high = min(found.value - below, figure), max(found.value + above, figure)
    return Estimate(found.value, low, high)


def fusions(rows: Iterable[NodeRow]) -> list[Fusion]:
    """Return what the runtime made of several nodes, or of others, the slowest first."""
    groups: dict[tuple[str, tuple[str, ...]], list[NodeRow]] = {}
    for row in rows:
        if row.stands_for and row.stands_for != (row.op_type,):
            groups.setdefault((row.op_type, row.stands_for), []).append(row)
    found = [
        Fusion(
            op_type=op_type,
            stands_for=parts,
            nodes=len(mine),
            seconds=sum(row.seconds for row in mine),
        )
        for (op_type, parts), mine in groups.items()
    ]
    return sorted(found, key=lambda fusion: -fusion.seconds)


def put_in(origins: Origins) -> int:
    """Count the nodes that ran and do the work of none of the model's."""
    return sum(not parts for parts in origins.of.values())


def _known(amounts: Iterable[float | None]) -> float | None:
    found = list(amounts)
    return None if None in found else sum(amount or 0.0 for amount in found)


def _mean(rows: Sequence[Sequence[float]]) -> float:
    return statistics.fmean(float(middle(np.array(row))) for row in rows if row)
