"""An inspection as a page."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnxopt.inspection import words
from onnxopt.inspection.drawing import drawing
from onnxopt.inspection.layers import Layer
from onnxopt.inspection.model import Inspection
from onnxopt.page import Page, Point, bars, lines
from onnxopt.render import bytes_text, count_text, share_text

_BARS = 20
_POINTS = 400
_TENSORS = 200


def page(found: Inspection, model: ir.Model, *, title: str) -> Page:
    """Return a page with a summary, plots by operator, by layer and over time, and all tables.

    The graph of the ``model`` that was inspected is drawn where it is small.

    Raises UsageError where the extra ``html`` is missing.
    """
    made = Page(title, words.about(found)).tiles(_tiles(found))
    total, *missing = words.computed(found)
    made.text(total)
    for line in missing:
        made.say("warning", line)
    for line in (
        words.left_out(found),
        words.sizes(found),
        *words.stored(found),
        words.alive(found),
    ):
        if line:
            made.text(line)
    for line in words.quantized(found):
        made.text(line)
    rows = [(name, kind, *rest) for kind, name, *rest in words.port_rows(found)]
    made.table(("name", "", "type", "shape"), rows)
    _operators(made, found)
    _layers(made, found)
    _memory(made, found)
    _weights(made, found)
    made.heading("Graph")
    drawn = drawing(model.graph, found.layers)
    return made.text(drawn) if isinstance(drawn, str) else made.figure(drawn)


def _tiles(found: Inspection) -> list[tuple[str, str, str]]:
    macs = sum(row.macs for row in found.coverage.schemes)
    covered = share_text(sum(row.macs for row in found.coverage.quantized), macs)
    least = (
        "at least; some nodes are not counted"
        if "macs" in found.lacking
        else "multiply-accumulates"
    )
    return [
        ("MACs", count_text(found.macs), least),
        ("parameters", count_text(found.weights.parameters), bytes_text(found.size.weight_bytes)),
        ("peak of activations", bytes_text(found.memory.peak), "in this order of nodes"),
        ("nodes", str(found.size.nodes), f"{len(found.operators)} operators"),
        ("quantized", covered, "of the MACs"),
    ]


def _operators(made: Page, found: Inspection) -> None:
    made.heading("Operators")
    computing = {row.operator: (row.macs,) for row in found.operators if row.macs}
    if computing:
        made.figure(
            bars(computing, series_names=("MACs",), axis="multiply-accumulates", unit="MAC")
        )
    moving = sorted((row for row in found.operators if row.nbytes), key=lambda row: -row.nbytes)
    if moving:
        data = {row.operator: (row.nbytes,) for row in moving}
        made.figure(bars(data, series_names=("bytes",), axis="bytes read and written", unit="B"))
    made.table(words.OPERATORS, words.operator_rows(found), caption="All operators")


def _layers(made: Page, found: Inspection) -> None:
    made.heading("Layers")
    heaviest = words.heaviest(found)
    computing = _first([row for row in heaviest if row.macs], found)
    if computing:
        data = _labelled(computing, [row.macs or 0 for row in computing])
        axis = f"multiply-accumulates of the {len(computing)} heaviest, in order of execution"
        made.figure(bars(data, series_names=("MACs",), axis=axis, unit="MAC"))
    moving = sorted(heaviest, key=lambda row: -(row.nbytes or 0))
    moving = _first([row for row in moving if row.nbytes], found)
    if moving:
        data = _labelled(moving, [row.nbytes or 0 for row in moving])
        axis = f"bytes moved by the {len(moving)} that move most, in order of execution"
        made.figure(bars(data, series_names=("bytes",), axis=axis, unit="B"))
    rows = words.layer_rows(found, heaviest)
    made.table(words.LAYERS, rows, caption=f"All {len(rows)} layers, heaviest first")


def _first(rows: Sequence[Layer], found: Inspection) -> list[Layer]:
    """Return the first few rows, in the order in which they run."""
    shown = set(rows[:_BARS])
    return [row for row in found.layers if row in shown]


def _labelled(rows: Sequence[Layer], values: Sequence[int]) -> dict[str, tuple[float]]:
    """Return values by name; a name that comes again gets its place."""
    found: dict[str, tuple[float]] = {}
    for at, (row, value) in enumerate(zip(rows, values, strict=True)):
        name = row.name or row.operator
        found[name if name not in found else f"{name} ({at})"] = (value,)
    return found


def _memory(made: Page, found: Inspection) -> None:
    live = found.memory.live
    if not live or not found.memory.peak:
        return
    made.heading("Memory")
    step = -(-len(live) // _POINTS)
    points = [
        Point(float(at), float(max(count for _, count in live[at : at + step])))
        for at in range(0, len(live), step)
    ]
    plot = lines({"activations": points}, x="node, in order", y="bytes alive", unit="B")
    made.figure(plot, words.alive(found))


def _weights(made: Page, found: Inspection) -> None:
    made.heading("Weights")
    kinds = [
        (row.dtype, str(row.tensors), bytes_text(row.nbytes), bytes_text(row.external))
        for row in found.weights.by_type
    ]
    made.table(("type", "tensors", "bytes", "of it beside the model"), kinds)
    largest = sorted(found.weights.tensors, key=lambda tensor: -tensor.nbytes)[:_TENSORS]
    rows = [
        (
            tensor.name,
            tensor.dtype,
            "x".join(map(str, tensor.shape)) or "scalar",
            bytes_text(tensor.nbytes),
            "-" if tensor.zeros is None else share_text(tensor.zeros, tensor.parameters),
            tensor.pattern or "-",
        )
        for tensor in largest
    ]
    header = ("tensor", "type", "shape", "bytes", "zeros", "pattern")
    made.table(header, rows, caption=f"The {len(rows)} largest tensors")
    if found.weights.twins:
        twins = [(str(len(names)), " = ".join(names[:6])) for names in found.weights.twins]
        made.table(("tensors", "equal to each other"), twins, caption="Equal tensors")
