"""An inspection in words and tables, for a console or a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onnxopt.inspection.interface import Port
from onnxopt.inspection.layers import Layer
from onnxopt.inspection.model import Inspection
from onnxopt.page.words import shorten
from onnxopt.render import bytes_text, count_text, share_text

_NAME = 36
_FORMULA = 100
_NAMED = 4
OPERATORS = ("operator", "nodes", "MACs", "share", "other ops", "bytes", "share", "weights")
LAYERS = ("layer", "operator", "in", "weights", "out", "MACs", "share", "bytes", "op/byte")


def about(found: Inspection) -> str:
    """Say how large the model is, and who made it in which version."""
    size, origin = found.size, found.origin
    opsets = ", ".join(f"{shorten(d, 30)} {v}" for d, v in origin.opsets.items())
    parts = [_many(size.nodes, "node"), f"IR {origin.ir_version}", f"opsets {opsets or 'none'}"]
    parts += [f"made by {shorten(origin.producer, 60)}"] if origin.producer else []
    parts += [_many(len(origin.functions), "function")] if origin.functions else []
    return ", ".join(parts)


def port_rows(found: Inspection) -> list[tuple[str, ...]]:
    """Return a row for each input that must be given and each output."""
    ports = [("input", port) for port in found.inputs if not port.default]
    ports += [("output", port) for port in found.outputs]
    return [
        (kind, shorten(port.name, _NAME), shorten(port.type or "?", 30), _shape(port))
        for kind, port in ports
    ]


def left_out(found: Inspection) -> str:
    """Say how many inputs need not be given; empty where all must be."""
    count = sum(port.default for port in found.inputs)
    return f"{_many(count, 'more input')} with a default" if count else ""


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _shape(port: Port) -> str:
    if port.shape is None:
        return "any rank"
    sizes = ["?" if size is None else shorten(str(size), 30) for size in port.shape]
    return " x ".join(sizes) or "scalar"


def sizes(found: Inspection) -> str:
    """Say at which sizes everything is counted; empty where nothing is open."""
    if not found.extents:
        return ""
    known = [(extent.name, extent.size) for extent in found.extents]
    text = ", ".join(f"{shorten(n, 40)}={'?' if size is None else size}" for n, size in known)
    return f"counted at {text}"


def computed(found: Inspection) -> Iterator[str]:
    """Say what one run computes and moves, and what is missing in these figures."""
    least = dict.fromkeys(found.lacking, "at least ")
    text = f"{least.get('macs', '')}{count_text(found.macs)} MACs"
    if "macs" not in least and found.formula != str(found.macs) and len(found.formula) <= _FORMULA:
        text += f" ({shorten(found.formula, _FORMULA)})"
    text += f", {least.get('ops', '')}{count_text(found.ops)} other operations"
    text += f", {least.get('nbytes', '')}{bytes_text(found.nbytes)} moved"
    yield text
    if found.uncounted:
        yield _missing(found.uncounted)
    for stop in found.stops[:_NAMED]:
        yield f"shapes end at {shorten(stop, 160)}"
    if len(found.stops) > _NAMED:
        yield f"shapes end at {_many(len(found.stops) - _NAMED, 'more node')}"


def _missing(rows: Sequence[Layer]) -> str:
    reasons: dict[str, list[str]] = {}
    for row in rows:
        reasons.setdefault(row.unknown, []).append(row.name or row.operator)
    listed = [
        f"{shorten(names[0], _NAME)}{f' and {len(names) - 1} more' if names[1:] else ''}: "
        f"{shorten(reason, 120)}"
        for reason, names in list(reasons.items())[:_NAMED]
    ]
    more = f"; and {len(reasons) - _NAMED} more reasons" if len(reasons) > _NAMED else ""
    return f"not counted: {'; '.join(listed)}{more}"


def stored(found: Inspection) -> Iterator[str]:
    """Say what the model stores: parameters, types, zeros, what is there twice."""
    weights = found.weights
    types = ", ".join(f"{bytes_text(row.nbytes)} {row.dtype}" for row in weights.by_type)
    outside = sum(row.external for row in weights.by_type)
    where = f"; {bytes_text(outside)} of it beside the model" if outside else ""
    total = bytes_text(found.size.weight_bytes)
    parameters = f"{count_text(weights.parameters)} parameters"
    yield f"{parameters} in {total}: {types}{where}" if types else "no weights"
    patterns = [tensor for tensor in weights.tensors if tensor.pattern]
    if weights.zeros:
        share = share_text(weights.zeros, weights.counted)
        text = f"{share} of the parameters looked at are exactly zero"
        if patterns:
            kinds = sorted({tensor.pattern.split()[0] for tensor in patterns})
            text += f"; {_many(len(patterns), 'tensor')} in a pattern: {', '.join(kinds)}"
        yield text
    if weights.twins:
        first = " = ".join(shorten(name, _NAME) for name in weights.twins[0][:2])
        yield (
            f"{bytes_text(weights.repeated_bytes)} of it is there more than once, "
            f"in {_many(len(weights.twins), 'group')} of equal tensors ({first})"
        )


def alive(found: Inspection) -> str:
    """Say how many bytes of activations are alive at the same time, and where."""
    memory = found.memory
    text = f"activations peak at {bytes_text(memory.peak)}, in '{shorten(memory.at, _NAME)}'"
    if memory.separate_peak > memory.peak:
        text += f" ({bytes_text(memory.separate_peak)} if no node overwrites its input)"
    if memory.unknown:
        text += f"; {_many(memory.unknown, 'tensor')} of unknown size not among them"
    return text


def quantized(found: Inspection) -> Iterator[str]:
    """Say which share is quantized, and how."""
    coverage = found.coverage
    rows = coverage.quantized
    nodes = sum(row.nodes for row in coverage.schemes)
    if not rows:
        if coverage.quantizers:
            yield f"quantized: no MACs, though there are {coverage.quantizers} Q and DQ nodes"
        return
    macs = sum(row.macs for row in coverage.schemes)
    elements = sum(row.elements for row in coverage.schemes)
    yield (
        f"quantized: {share_text(sum(row.macs for row in rows), macs)} of the MACs, "
        f"{sum(row.nodes for row in rows)} of {nodes} nodes with MACs, "
        f"{share_text(sum(row.elements for row in rows), elements)} of their weights; "
        f"{_many(coverage.between, 'other node')} between Q and DQ"
    )
    for row in rows[:_NAMED]:
        yield f"  {share_text(row.macs, macs)} of the MACs, {_many(row.nodes, 'node')}: {row}"
    for kernels in found.foretold:
        yield (
            f"  foretold on {kernels.target} ({kernels.kernels}): integer kernels for "
            f"{share_text(kernels.macs, kernels.of_macs)} of the MACs of products with weights, "
            f"{kernels.nodes} of {kernels.of_nodes} nodes"
        )


def operator_rows(found: Inspection) -> list[tuple[str, ...]]:
    """Return the rows of the table by operator."""
    return [
        (
            shorten(row.operator, _NAME),
            str(row.nodes),
            _plus(row.macs, row.unknown),
            share_text(row.macs, found.macs) if row.macs else "-",
            count_text(row.ops) if row.ops else "-",
            bytes_text(row.nbytes) if row.nbytes else "-",
            share_text(row.nbytes, found.nbytes) if row.nbytes else "-",
            bytes_text(row.weight_bytes) if row.weight_bytes else "-",
        )
        for row in found.operators
    ]


def _plus(macs: int, unknown: int) -> str:
    if unknown:
        return f"{count_text(macs)}+" if macs else "?"
    return count_text(macs) if macs else "-"


def heaviest(found: Inspection) -> list[Layer]:
    """Return the layers by MACs, then by bytes."""
    return sorted(found.layers, key=lambda row: (-(row.macs or 0), -(row.nbytes or 0)))


def layer_rows(found: Inspection, rows: Sequence[Layer]) -> list[tuple[str, ...]]:
    """Return the rows of the table of layers."""
    return [
        (
            shorten(row.name, _NAME),
            shorten(row.operator, _NAME),
            shorten(row.inputs, 30) or "-",
            shorten(row.weights, 24) or "-",
            shorten(row.outputs, 24) or "-",
            "?" if row.macs is None else count_text(row.macs) if row.macs else "-",
            share_text(row.macs, found.macs) if row.macs else "-",
            "?" if row.nbytes is None else bytes_text(row.nbytes),
            "-" if row.intensity is None else f"{row.intensity:.3g}",
        )
        for row in rows
    ]
