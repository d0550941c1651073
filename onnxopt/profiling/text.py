"""A profile on a console: what tells most comes first."""

from __future__ import annotations

from collections.abc import Mapping

from onnxopt.measure.intervals import Estimate
from onnxopt.measure.text import counted, time_text
from onnxopt.profiling.report import (
    Fusion,
    ModelProfile,
    NodeRow,
    OperatorRow,
    PairRow,
    ProfileReport,
    change_of,
    names_of,
)
from onnxopt.profiling.summary import (
    accounts,
    findings,
    graph_changes,
    headline,
    peaks_text,
    percent,
    remarks,
)
from onnxopt.render import Paper

_NAME = 48
"""Letters of a name that are printed."""


def write_report(report: ProfileReport, paper: Paper, top: int) -> None:
    """Write the report: findings, tables, how the times add up, where it was taken."""
    for model in report.models:
        paper.line(headline(model))
        for finding in findings(model):
            paper.line(f"  {finding}")
        paper.line()
    there = [model for model in report.models if model.nodes]
    if len(there) == 2:
        _side_by_side(there[0], there[1], paper)
        _pairs(report, paper, top)
    for model in there:
        _tables(model, paper, top, alone=len(there) == 1)
    for model in there:
        for account in accounts(model, report.charge):
            paper.line(account if len(there) == 1 else f"{model.label}: {account}")
    _circumstances(report, paper)


def _tables(model: ModelProfile, paper: Paper, top: int, *, alone: bool) -> None:
    if alone:
        names, on_device = model.operator_names, _on_device(model)
        rows = [operator_cells(row, names, on_device=on_device) for row in model.operators]
        paper.table([operator_head(on_device=on_device), *rows])
        paper.line()
    shown = model.nodes[:top]
    if shown:
        on_device = _on_device(model)
        head = node_head(on_device=on_device)
        head[0] = head[0] if alone else f"node of {model.label}"
        cells = [node_cells(row, _NAME, on_device=on_device) for row in shown]
        paper.table([head, *cells], left=(0, 1, len(head) - 1))
        left = len(model.nodes) - len(shown)
        if left:
            share = sum(row.share for row in model.nodes[top:])
            paper.line(f"and {counted(left, 'node', 'nodes')} more, {percent(share)} of the time")
        paper.line()
    if model.fusions:
        paper.table(
            [list(FUSION_HEAD), *(fusion_cells(row) for row in model.fusions[:top])], left=(0, 3)
        )
        paper.line(graph_changes(model))
        paper.line()


def _on_device(model: ModelProfile) -> bool:
    return any(row.device_s for row in model.nodes)


def operator_head(*, on_device: bool) -> list[str]:
    """Return the head of the table of operators."""
    device = ["on device"] if on_device else []
    return ["operator", "nodes", "time", "95 %", *device, "share", "GMAC", "of attainable"]


def node_head(*, on_device: bool) -> list[str]:
    """Return the head of the table of nodes."""
    device = ["on device"] if on_device else []
    return ["node", "operator", "time", *device, "share", "GMAC/s", "of attainable", "bound by"]


FUSION_HEAD = ("it runs", "nodes", "time", "instead of")


def operator_cells(
    row: OperatorRow, names: Mapping[tuple[str, str], str], *, on_device: bool
) -> list[str]:
    """Return a line of the table of operators."""
    interval = row.interval
    return [
        names[row.domain, row.op_type],
        str(row.nodes),
        time_text(row.seconds),
        f"{time_text(max(interval.low, 0.0))} to {time_text(interval.high)}" if interval else "-",
        *([time_text(row.device_s or None)] if on_device else []),
        percent(row.share),
        f"{row.macs / 1e9:.3g}" if row.macs else "-",
        reached(row.attainable_s, row.spent_s),
    ]


def node_cells(row: NodeRow, letters: int, *, on_device: bool) -> list[str]:
    """Return a line of the table of nodes."""
    rate = row.macs / row.spent_s / 1e9 if row.macs and row.spent_s else None
    return [
        shortened(row.node, letters),
        row.op_type,
        time_text(row.seconds),
        *([time_text(row.device_s or None)] if on_device else []),
        percent(row.share),
        f"{rate:.3g}" if rate else "-",
        reached(row.attainable_s, row.spent_s) if row.bound != "overhead" else "-",
        row.bound or "-",
    ]


def reached(attainable_s: float | None, seconds: float) -> str:
    """Return how near a time comes to what is attainable."""
    if not attainable_s or seconds <= 0:
        return "-"
    return percent(attainable_s / seconds)


def fusion_cells(row: Fusion) -> list[str]:
    """Return a line of the table of fusions; long chains are cut."""
    return [row.op_type, str(row.nodes), time_text(row.seconds), chain(row.stands_for)]


def chain(operators: tuple[str, ...]) -> str:
    """Return operators in one line, the first six."""
    left = f" + {len(operators) - 6} more" if len(operators) > 6 else ""
    return " + ".join(operators[:6]) + left


def _side_by_side(before: ModelProfile, after: ModelProfile, paper: Paper) -> None:
    paper.table([["operator", *COMPARED], *compared(before, after)])
    paper.line()


COMPARED = ("nodes before", "after", "time before", "after", "change")


def compared(before: ModelProfile, after: ModelProfile) -> list[list[str]]:
    """Return a line for each operator, the largest change of time first, and one for all."""
    models, names = (before, after), names_of([before, after])
    sides = [{(row.domain, row.op_type): row for row in model.operators} for model in models]
    rows = []
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        old, new = (side.get(name) for side in sides)
        change = change_of(old.interval if old else None, new.interval if new else None)
        cells = [
            names[name],
            str(old.nodes) if old else "-",
            str(new.nodes) if new else "-",
            time_text(old.seconds) if old else "-",
            time_text(new.seconds) if new else "-",
            signed(change),
        ]
        rows.append((change, cells))
    rows.sort(key=lambda row: -abs(row[0].value))
    counts = [str(len(model.nodes)) for model in (before, after)]
    times = [time_text(model.plain.value if model.plain else None) for model in (before, after)]
    whole = signed(change_of(before.plain, after.plain))
    return [*(cells for _, cells in rows), ["a run, not recorded", *counts, *times, whole]]


UNSURE = "a change with < cannot be told from noise; it is smaller than that"


def signed(change: Estimate) -> str:
    """Return a change of time with its sign or, where its interval holds zero, a bound."""
    if change.low <= 0 <= change.high:
        return f"< {time_text(change.reach)}"
    return f"{'-' if change.value < 0 else '+'}{time_text(abs(change.value))}"


def _pairs(report: ProfileReport, paper: Paper, top: int) -> None:
    if not report.pairs:
        paper.line("the models have no values in common: nothing can be matched node by node")
        paper.line()
        return
    rows = [pair_cells(row, _NAME) for row in report.pairs[:top]]
    paper.table([list(PAIR_HEAD), *rows], left=(0, 1, 2))
    left = report.pairs[top:]
    if left:
        sure = sum(not row.change.low <= 0 <= row.change.high for row in left)
        paper.line(f"and {counted(len(left), 'group', 'groups')} of nodes more, {sure} changed")
    paper.line(UNSURE)
    paper.line()


PAIR_HEAD = ("up to the value", "before", "after", "time before", "after", "change")


def pair_cells(row: PairRow, letters: int) -> list[str]:
    """Return a line of matched nodes."""
    return [
        shortened(row.value, letters) or "(in one of them alone)",
        _few(row.before),
        _few(row.after),
        time_text(row.before_s),
        time_text(row.after_s),
        signed(row.change),
    ]


def shortened(name: str, letters: int) -> str:
    """Return a name without its middle where it is long."""
    if len(name) <= letters:
        return name
    return f"{name[: letters // 2 - 1]}…{name[-letters // 2 :]}"


def _few(operators: tuple[str, ...]) -> str:
    if len(operators) > 3:
        return f"{len(operators)} nodes"
    return " + ".join(operators) or "-"


def _circumstances(report: ProfileReport, paper: Paper) -> None:
    if report.peaks is not None:
        paper.line(peaks_text(report.peaks))
    runs = sum(model.runs for model in report.models)
    launches = max((model.launches for model in report.models), default=0)
    stopped = ", interrupted" if report.interrupted else ""
    paper.line(
        f"{counted(runs, 'recorded run', 'recorded runs')}, "
        f"{counted(launches, 'process', 'processes')} each, {report.seconds:.1f} s{stopped}"
    )
    paper.line(f"{report.host.cpu}, {counted(report.host.cores, 'core', 'cores')}")
    for remark in remarks(report):
        paper.line(remark)
