"""How exact a file is: held against the exported one."""

from __future__ import annotations

import math

from onnxopt.comparison.report import CompareReport
from onnxopt.comparison.run import Request, compare
from onnxopt.comparison.scores import Change
from onnxopt.deployer.stages import Result


def compared(asked: Request, *, plain: bool, scored: bool) -> Result:
    """Hold a file against the exported one: to rounding, or to the drop that a metric may have.

    ``plain`` is a file that must compute the same. A quantized model was held to the float one's
    outputs when it was made. It is scored on what it was not calibrated on, and only where the
    samples have labels or a metric is asked for (``scored``).
    """
    report = compare(asked)
    faults = report.faults if plain or scored else ()
    return {
        "agrees": report.verdict if plain else _closeness(report),
        "metrics": [_metric_text(each) for each in report.metrics],
        "refused": faults[0] if faults else None,
        "limited": scored,
    }


def _closeness(report: CompareReport) -> str:
    levels = [each.errors.sqnr for each in report.outputs if math.isfinite(each.errors.sqnr)]
    if not levels:
        return report.verdict
    return f"signal over error of the worst output {min(levels):.1f} dB on {report.samples} samples"


def _metric_text(change: Change) -> str:
    return f"{change.name} {change.before:.4g} before, {change.after:.4g} after"
