"""What a profile says, in sentences: what takes the time, what could be gained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from onnxopt.measure.text import counted, time_text
from onnxopt.profiling.kernels import CONVERSIONS, DEVICE_COPIES, INTEGER_OTHERS, INTEGER_PRODUCTS
from onnxopt.profiling.overhead import Charge
from onnxopt.profiling.peaks import Peaks
from onnxopt.profiling.report import ModelProfile, NodeRow, OperatorRow, ProfileReport
from onnxopt.render import bytes_text

_WORTH_TELLING = 0.02
_NAMED = 5
_HOST = "CPUExecutionProvider"
_NEAR = 0.02
"""How far the nodes' times may be from the whole without a remark."""


def percent(share: float) -> str:
    """Return a share in per cent, with a digit behind the point where it is small."""
    return f"{100 * share:.0f} %" if abs(share) >= 0.1 else f"{100 * share:.1f} %"


def headline(model: ModelProfile) -> str:
    """Return what a run takes."""
    if model.plain is None:
        return f"{model.label}: {model.error or 'nothing was recorded'}"
    low, high = time_text(model.plain.low), time_text(model.plain.high)
    cut = f"; then it failed: {model.error}" if model.error is not None else ""
    return (
        f"{model.label} on {model.backend}: {time_text(model.plain.value)} a run "
        f"(95 %: {low} to {high}){cut}"
    )


def findings(model: ModelProfile) -> list[str]:
    """Return what takes the time and what could be gained."""
    if not model.nodes:
        return []
    told = [_heaviest(model.operators), *_gain(model), *_calls(model.nodes)]
    return [*told, *_places(model), *_integers(model.nodes)]


def _heaviest(operators: Sequence[OperatorRow]) -> str:
    parts = [
        f"{row.op_type} takes {percent(row.share)} in {counted(row.nodes, 'node', 'nodes')}"
        if at == 0
        else f"{row.op_type} {percent(row.share)} in {row.nodes}"
        for at, row in enumerate(operators[:4])
        if at == 0 or row.share >= _WORTH_TELLING
    ]
    return ", ".join(parts)


def _gain(model: ModelProfile) -> list[str]:
    """Say how far nodes with real work stay below the machine's peaks."""
    rows = [row for row in model.nodes if row.bound in ("compute", "memory")]
    gain = sum(row.gain_s for row in rows)
    if not rows or gain < _WORTH_TELLING * model.nodes_s:
        return []
    best = max(rows, key=lambda row: row.gain_s)
    return [
        f"kernels at the machine's peaks would save {time_text(gain)} "
        f"({percent(gain / model.nodes_s)}); the most in {best.op_type} '{best.node}', "
        f"which takes {time_text(best.spent_s)} where {time_text(best.attainable_s)} would do"
    ]


def _calls(nodes: Iterable[NodeRow]) -> list[str]:
    rows = [row for row in nodes if row.bound == "overhead"]
    share = sum(row.share for row in rows)
    if share < _WORTH_TELLING:
        return []
    return [
        f"{counted(len(rows), 'node does', 'nodes do')} less than a microsecond of work each, "
        f"and {'takes' if len(rows) == 1 else 'take'} {percent(share)}: fewer nodes would help, "
        "not faster ones"
    ]


def _places(model: ModelProfile) -> list[str]:
    """Say what ran elsewhere than asked, and what went between devices."""
    places = dict.fromkeys(row.provider for row in model.nodes if row.provider)
    groups = [
        ([row for row in model.nodes if row.provider == place], f"run on {place}")
        for place in places
        if place in model.fallbacks or (len(places) > 1 and place == _HOST)
    ]
    copies = [row for row in model.nodes if row.op_type in DEVICE_COPIES]
    return [
        f"{counted(len(rows), 'node', 'nodes')} {what} and take "
        f"{percent(sum(row.share for row in rows))} of the time: {_named(rows)}"
        for rows, what in [*groups, (copies, "copy between devices")]
        if rows
    ]


def _named(rows: Sequence[NodeRow]) -> str:
    names = [f"{row.op_type} '{row.node}'" for row in rows[:_NAMED]]
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return ", ".join(names) + more


def _integers(nodes: Sequence[NodeRow]) -> list[str]:
    """Say how much really ran on integers."""
    rows = [row for row in nodes if row.op_type in INTEGER_PRODUCTS | INTEGER_OTHERS]
    conversions = sum(row.share for row in nodes if row.op_type in CONVERSIONS)
    if not rows and not conversions:
        return []
    share = sum(row.share for row in rows)
    told = f"integer kernels: {counted(len(rows), 'node', 'nodes')}, {percent(share)} of the time"
    macs = integer_macs(nodes)
    if macs is not None:
        told += f", {percent(macs)} of the MACs"
    return [f"{told}; conversions to and from integers take {percent(conversions)}"]


def integer_macs(nodes: Sequence[NodeRow]) -> float | None:
    """Return the share of the multiply-accumulates that ran on integers; None where unknown."""
    known = [row for row in nodes if row.macs]
    whole = sum(row.macs or 0.0 for row in known)
    if not whole:
        return None
    return sum(row.macs or 0.0 for row in known if row.op_type in INTEGER_PRODUCTS) / whole


def accounts(model: ModelProfile, charge: Charge | None) -> list[str]:
    """Say what recording cost, and how the nodes' times add up."""
    if model.plain is None or model.slowed is None or not model.nodes:
        return []
    events = sum(row.count for row in model.nodes)
    added = model.slowed.value - model.plain.value
    plain, slowed = time_text(model.plain.value), time_text(model.slowed.value)
    told = [f"recording slows a run from {plain} to {slowed}: {_each(added, events)} a node"]
    if charge is not None and charge.node_s:
        taken = model.recorded_s - model.nodes_s
        told[0] += (
            f", of which {_each(taken, events)} lie in the node's own time and are taken off it"
        )
    return [*told, _sum(model)]


def _each(seconds: float, count: float) -> str:
    return time_text(max(seconds / count, 0.0))


def _sum(model: ModelProfile) -> str:
    assert model.plain is not None
    whole, nodes = model.plain.value, model.nodes_s
    rest = whole - nodes
    together = f"the nodes take {time_text(nodes)} together, {percent(nodes / whole)} of a run"
    if rest >= -_NEAR * whole:
        return f"{together}; the rest is the call and what lies between the nodes"
    return (
        f"{together}: recording makes them slower than they are, by {percent(-rest / whole)} "
        "in all; trust their order more than their times"
    )


def graph_changes(model: ModelProfile) -> str:
    """Say how many nodes the runtime made of how many."""
    counts = {
        "computed when the session opened": model.folded,
        "found to do nothing": model.removed,
        "put in to change a layout or a type": model.put_in,
    }
    parts = [f"{count} {what}" for what, count in counts.items() if count]
    return "further nodes: " + (", ".join(parts) or "none")


def peaks_text(peaks: Peaks) -> str:
    """Say what the machine reaches."""
    macs = ", ".join(f"{name} {rate / 1e9:.3g}" for name, rate in peaks.macs.items())
    rates = ", ".join(f"{s.rate / 1e9:.3g} at {bytes_text(s.bytes)}" for s in peaks.streams)
    return f"measured peaks: {macs} GMAC/s; {rates} in GB/s"


def remarks(report: ProfileReport) -> list[str]:
    """Return warnings, then notes."""
    told = [f"warning: {warning}" for warning in report.warnings]
    told += [f"note: {report.fed}"] if report.fed else []
    for model in report.models:
        told += [f"note: {model.label}: {note}" for note in model.notes]
    if any(row.device_s for model in report.models for row in model.nodes):
        told.append(
            "note: a node's time is that of starting its kernels on the device, unless it waits "
            "for them; the column of the device has the kernels' own time"
        )
    return told
