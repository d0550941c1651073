"""How exact a file is: held against the first one."""

from __future__ import annotations

import dataclasses
import math

from onnxopt.comparison.metrics import Kind
from onnxopt.comparison.report import CompareReport, Limits
from onnxopt.comparison.run import Request, compare
from onnxopt.comparison.scores import Change
from onnxopt.comparison.words import change_text, share_text
from onnxopt.deployer.stages import Result


def limits_of(least_db: float | None, max_drop: float | None) -> Limits:
    """Return how far a quantized file may be from the first one.

    By the drop of a metric where there is one, otherwise by the signal over error in dB that its
    quantization was held to.
    """
    if max_drop is not None:
        return Limits(max_drop=max_drop)
    return Limits() if least_db is None else Limits(min_sqnr=round(least_db - 0.05, 1))


def compared(asked: Request) -> Result:
    """Hold a file against the first one: to rounding, or to the limits that are given."""
    report = compare(asked)
    limited = asked.limits.given
    return {
        "agrees": _closeness(report) if limited else report.verdict,
        "metrics": [_cell(each) for each in report.metrics],
        "refused": report.faults[0] if report.faults else None,
        "limits": {n: v for n, v in dataclasses.asdict(asked.limits).items() if v is not None},
    }


def _closeness(report: CompareReport) -> str:
    """Say how far the worst output is off, beside what is allowed."""
    levels = [each.errors.sqnr for each in report.outputs if math.isfinite(each.errors.sqnr)]
    said = [change_text(each) for each in report.metrics]
    limits = report.limits
    if said and limits.max_drop is not None:
        said[0] += f" ({_allowed(report.metrics[0], limits.max_drop)} is allowed)"
    if levels:
        worst = min(levels)
        error = f"error {_share(worst)} of the signal ({worst:.1f} dB"
        asked = (
            ""
            if limits.min_sqnr is None
            else f"; at least {limits.min_sqnr:g} dB are expected of its types"
        )
        said.append(f"{error}{asked})")
    text = "; ".join(said) or report.verdict
    samples = "1 sample" if report.samples == 1 else f"{report.samples:,} samples"
    return f"{text}; on {samples} that it was not calibrated on"


def _allowed(change: Change, drop: float) -> str:
    if change.kind is Kind.SHARE:
        return f"a fall of {100 * drop:g} point{'' if drop == 0.01 else 's'}"
    return f"a {'fall' if change.higher_is_better else 'rise'} of {drop:g}"


def _share(level_db: float) -> str:
    return f"{100 * 10 ** (-level_db / 20):.2g} %"


def _cell(change: Change) -> str:
    if change.kind is Kind.SHARE:
        return f"{change.name} {share_text(change.before)} -> {share_text(change.after)}"
    return f"{change.name} {change.before:.4g} -> {change.after:.4g}"
