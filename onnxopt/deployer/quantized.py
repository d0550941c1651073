"""Quantizing as a stage of a deployment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir

from onnxopt import graph, io, quantizer
from onnxopt.deployer.report import span_text
from onnxopt.deployer.stages import Result
from onnxopt.measure.intervals import Estimate
from onnxopt.measure.verdict import BUSY, TOO_BUSY
from onnxopt.quantizer import QuantizeReport
from onnxopt.quantizer.choosing import FLOAT, GIVEN
from onnxopt.quantizer.report import Tried
from onnxopt.quantizer.schemes import SCHEMES
from onnxopt.render import bytes_text

_SAFE = 7
"""Bits of weights of which sums of two products by 8 bits fit into 16."""


def quantized(source: Path, path: Path, asked: quantizer.Request) -> Result:
    """Quantize a file into another, where that pays; return what was taken, and what was left.

    Without anything quantized no file is left at ``path``.
    """
    model, report = quantizer.run(source, asked)
    taken = next((row for row in report.tried if row.scheme == report.chosen), None)
    found = "" if report.chosen in (FLOAT, GIVEN) else report.chosen
    if found:
        io.save(model, path)
    else:
        path.unlink(missing_ok=True)
    return {
        "chosen": found,
        "told": bool(found) or all(row.outcome != "unknown" for row in report.tried),
        "layers": 0 if taken is None else taken.layers,
        "calibrated": taken is not None and taken.calibrates,
        "saturates": taken is not None and bool(taken.integer_share) and taken.bits > _SAFE,
        "undecided": [_undecided(row) for row in report.tried if _is_undecided(row)],
        "remarks": [] if taken is None else [*_remarks(report, taken), *_floats(model)],
        "least_db": None if taken is None else taken.least_db,
        "ratio": None if taken is None or taken.latency is None else _values(taken.latency),
        "runs_with": "" if taken is None else taken.runs_with,
        "scheme": _scheme(report, taken, asked.scheme),
        "settled": taken is not None and _settled(taken),
        "left": list(_left(report)),
        "notes": report.notes,
        "warnings": report.warnings,
        "unsteady": report.unsteady,
    }


def _scheme(report: QuantizeReport, taken: Tried | None, asked: str | None) -> str:
    """Return what makes the same again as ``--scheme``; nothing where only trying all does.

    Where layers went back to float, for recorded times or noise, that is its passes.
    """
    if taken is None or taken.scheme in (FLOAT, GIVEN) or taken.runs_with:
        return ""
    named = taken.scheme in SCHEMES or taken.scheme == asked
    return taken.scheme if named and not _settled(taken) else report.passes


def _settled(taken: Tried) -> bool:
    """Return whether layers went back to float, which another run could choose otherwise."""
    return bool(taken.in_float or taken.slower)


def _floats(model: ir.Model) -> Iterator[str]:
    """Say where the bytes are, if most of them are still floating-point numbers."""
    wide = (ir.DataType.FLOAT, ir.DataType.DOUBLE)
    held = [(w.nbytes, value.name) for value, w in graph.weights(model) if w.dtype in wide]
    floats, every = sum(size for size, _ in held), graph.weight_bytes(model)
    if 2 * floats > every:
        size, name = max(held)
        yield (
            f"{bytes_text(floats)} of its {bytes_text(every)} of weights are floating-point "
            f"numbers still, {bytes_text(size)} of them '{name}'"
        )


def _remarks(report: QuantizeReport, taken: Tried) -> Iterator[str]:
    """Say what was quantized, on what it rests, and what stays in float."""
    if taken.runs_with:
        yield f"computed as {taken.runs_with} does"
    if not taken.layers:
        return
    share = taken.integer_share
    text = f"{taken.layers} layer{'s' if taken.layers != 1 else ''} in {taken.scheme}"
    if share is not None:
        text += f", {100 * share:.0f} % of the multiply-adds with weights on integers"
        if taken.calibrates:
            method = re.search(r"quantize/calibrate\{method=([\w-]+)", report.pipeline)
            by = f" by {method[1]}" if method else ""
            text += f"; ranges{by} on {report.calibrated_on:,} samples"
    yield text if taken.in_float or taken.slower else f"{text}; no layer went back to float"
    yield from taken.kept()
    if taken.portability is not None and taken.sqnr_db is not None:
        yield taken.portability.line(taken.scheme, taken.sqnr_db, taken.agreement)


def _is_undecided(row: Tried) -> bool:
    quantized = row.scheme not in (FLOAT, GIVEN) and not row.refused
    return quantized and row.outcome == "unknown" and row.latency is not None


def _undecided(row: Tried) -> str:
    """Say what was read of a scheme that nothing could be told of."""
    assert row.latency is not None
    level = "" if row.sqnr_db is None else f", at {row.sqnr_db:.1f} dB of signal over error"
    return f"{row.scheme} read {_ratio(row.latency)} of the given one's time{level}"


def _values(latency: Estimate) -> list[float]:
    return [latency.value, latency.low, latency.high]


def _ratio(latency: Estimate) -> str:
    return span_text((latency.value, latency.low, latency.high))


_FARES = {
    "faster": "faster than the given one, but not the fastest",
    "same": "not measurably faster than the given one",
    "slower": "slower than the given one",
    "unknown": "undecided beside the given one",
}
"""What an outcome says of a scheme that was not taken."""

_TIED = "not surely the faster of the two, and its ranges rest on samples"


def _left(report: QuantizeReport) -> Iterator[str]:
    """Say of each scheme that was tried and not taken why it was not."""
    nothing = report.chosen in (FLOAT, GIVEN)
    taken = next((row for row in report.tried if row.scheme == report.chosen), None)
    for row in report.tried:
        if row.scheme in (FLOAT, GIVEN, report.chosen):
            continue
        why = row.refused or row.verdict.replace(BUSY, TOO_BUSY)
        if not row.refused and row.latency is not None:
            why = f"{_FARES[row.outcome or 'unknown']}: {_ratio(row.latency)} of its time"
            if not nothing and taken is not None and taken.latency is not None:
                if row.outcome == "faster" and row.latency.value < taken.latency.value:
                    why = f"{_TIED}: {_ratio(row.latency)} of the given one's time"
                why = f"{why}, where {report.chosen} takes {_ratio(taken.latency)}"
            why += f"; {row.fall()}" if row.drop is not None else ""
        yield f"{row.scheme}: {why or f'{report.chosen} keeps the outputs and comes first'}"
    if nothing:
        yield f"quantization: {report.why}"
