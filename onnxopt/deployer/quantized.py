"""Quantizing as a stage of a deployment."""

from __future__ import annotations

from pathlib import Path

from onnxopt import io, quantizer
from onnxopt.deployer.stages import Result
from onnxopt.quantizer import QuantizeReport
from onnxopt.quantizer.choosing import FLOAT, GIVEN


def quantized(source: Path, path: Path, asked: quantizer.Request) -> Result:
    """Quantize a file into another; return what was taken, how exact it is, and what was left."""
    model, report = quantizer.run(source, asked)
    io.save(model, path)
    taken = next((row for row in report.tried if row.scheme == report.chosen), None)
    return {
        "chosen": "" if report.chosen in (FLOAT, GIVEN) else report.chosen,
        "told": report.chosen != FLOAT or all(r.outcome != "unknown" for r in report.tried),
        "remarks": [] if taken is None else list(taken.kept()),
        "least_db": None if taken is None else taken.least_db,
        "runs_with": "" if taken is None else taken.runs_with,
        "left": list(_left(report)),
        "warnings": report.warnings,
        "unsteady": report.unsteady,
    }


def _left(report: QuantizeReport) -> list[str]:
    """Say of each scheme that was tried and not taken why it was not."""
    found = []
    for row in report.tried:
        if row.scheme in (FLOAT, GIVEN, report.chosen):
            continue
        why = row.refused or row.verdict or f"{report.chosen} was taken, {report.why}"
        ahead = not row.refused and row.outcome == "faster" and report.chosen not in (FLOAT, GIVEN)
        found.append(f"{row.scheme}: {why}" + (f"; {report.chosen} is better" if ahead else ""))
    if report.chosen in (FLOAT, GIVEN):
        found.append(f"quantization: {report.why}")
    return found
