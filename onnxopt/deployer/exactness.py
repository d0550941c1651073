"""How exact a file is: held against the first one."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

from onnxopt import catalogue
from onnxopt.comparison.metrics import Kind
from onnxopt.comparison.report import CompareReport, Limits, Output
from onnxopt.comparison.run import Request, compare
from onnxopt.comparison.scores import Change
from onnxopt.comparison.words import change_text, examples_text, points_text
from onnxopt.deployer.stages import Result
from onnxopt.split import CALIBRATING


def in_use(target: str) -> str:
    """Return how far the runtime optimizes a model that is held to a bound: as in use."""
    return "all" if hasattr(catalogue.backend(target), "optimization") else "off"


def limits_of(least_db: float | None, max_drop: float | None) -> Limits:
    """Return how far a quantized file may be from the first one.

    By the drop of a metric where there is one, otherwise by the signal over error in dB that its
    quantization was held to.
    """
    if max_drop is not None:
        return Limits(max_drop=max_drop)
    return Limits() if least_db is None else Limits(min_sqnr=round(least_db - 0.05, 1))


class Rests(NamedTuple):
    """What a quantized file rests on."""

    calibrated: bool
    """Whether ranges were found on samples; all are scored where they were not."""
    single: bool
    """Whether it was calibrated on the sample that it is scored on, for there is no other."""
    layers: int
    """How many layers are rounded."""
    in_use: bool = True
    """Whether it is run as the runtime runs it in use, optimized, not as it is written."""

    @property
    def samples(self) -> str:
        """Say what the samples are that it is scored on."""
        run = f", run as {'in use' if self.in_use else 'it is written'}"
        if not self.calibrated:
            return f"(nothing was calibrated){run}"
        return f"that calibration {'saw too' if self.single else 'did not see'}{run}"


EXACT = Rests(calibrated=False, single=False, layers=0, in_use=False)


def compared(asked: Request, rests: Rests = EXACT) -> Result:
    """Hold a file against the first one: to rounding, or to the limits that are given."""
    report = compare(asked)
    bound = _bound(report, rests.layers)
    given = asked.limits.given
    return {
        "agrees": _closeness(report, bound, rests.samples) if given else report.verdict,
        "samples": report.samples,
        "outputs": [_near(each) for each in report.outputs],
        "metrics": [_scored(each) for each in report.metrics],
        "refused": report.faults[0] if report.faults else None,
        "limits": {n: v for n, v in dataclasses.asdict(asked.limits).items() if v is not None},
        "bound": bound,
        "unscored": asked.limits.min_sqnr is not None and not report.metrics,
        "coarse": _coarse(report, calibrated=rests.calibrated),
    }


def _near(output: Output) -> Result:
    errors, finite = output.errors, math.isfinite(output.errors.sqnr)
    return {
        "output": output.name,
        "sqnr_db": errors.sqnr if finite else None,
        "agreement": errors.agreement.share if errors.agreement else None,
    }


def _closeness(report: CompareReport, bound: str, which: str) -> str:
    """Say how far the worst output is off, beside what is allowed."""
    said = [change_text(each) for each in report.metrics]
    apart = [each for each in report.outputs if math.isfinite(each.errors.sqnr)]
    if apart:
        worst = min(apart, key=lambda each: each.errors.sqnr)
        where = f" in '{worst.name}', the worst of {len(report.outputs)} outputs"
        level = worst.errors.sqnr
        text = f"error {_share(level)} ({level:.1f} dB){where if len(report.outputs) > 1 else ''}"
        same = [each.errors.agreement.share for each in apart if each.errors.agreement]
        if same:
            least = f"in {100 * min(same):.1f} %{' at least' if len(same) > 1 else ''}"
            always = "always" if min(same) == 1 else least
            text += f"; the largest element stays the largest {always}"
        said.append(text)
    said = said or [report.verdict]
    samples = "1 sample" if report.samples == 1 else f"{report.samples:,} samples"
    text = f"on {samples} {which}: {'; '.join(said)}"
    return f"{text}; its bound: {bound}" if bound else text


def _share(level: float) -> str:
    return f"{100 * 10 ** (-level / 20):.2g} % of the signal"


def _bound(report: CompareReport, layers: int) -> str:
    """Say what is allowed; nothing where that is rounding alone."""
    limits = report.limits
    if limits.max_drop is not None and report.metrics:
        return f"{report.metrics[0].name} may {_allowed(report.metrics[0], limits.max_drop)}"
    if limits.min_sqnr is not None:
        return (
            f"an error of {_share(limits.min_sqnr)} at most ({limits.min_sqnr:g} dB), what "
            f"rounding {layers} layers is taken to cost"
        )
    return ""


def _allowed(change: Change, drop: float) -> str:
    if change.kind is Kind.SHARE:
        return f"fall by {points_text(drop)}"
    return f"{'fall' if change.higher_is_better else 'rise'} by {drop:g}"


def _coarse(report: CompareReport, *, calibrated: bool) -> str:
    """Say where a larger fall than is allowed cannot be ruled out, and what would tell."""
    drop = report.limits.max_drop
    if not drop or report.faults or not report.metrics:
        return ""
    change = report.metrics[0]
    if change.kind is not Kind.SHARE or change.change is None or change.chance is None:
        return ""  # an example is more than one hit or miss
    reach = -change.change.low
    if reach <= drop:
        return ""
    text = (
        f"{examples_text(change.units)} cannot rule out that {change.name} falls by more than "
        f"{points_text(drop)}: it may be {100 * reach:.4g} points (95 %)"
    )
    fall = max(change.before - change.after, 0.0)
    if fall >= drop:
        return text
    spread = reach - (change.before - change.after)
    needed = change.units * (spread / (drop - fall)) ** (2 if change.lost or change.won else 1)
    needed *= report.samples / change.units  # examples may come several in a sample
    given = CALIBRATING.given_for(math.ceil(needed)) if calibrated else needed
    scored = f", of which about {_round(needed):,} are scored," if calibrated else ""
    so = f"goes on to fall by {points_text(fall)}, as here" if fall else "does not fall"
    return f"{text}; about {_round(given):,} labelled samples in all{scored} would, if it {so}"


def _round(number: float) -> int:
    """Return a number with two digits that count, the next above."""
    step: int = 10 ** max(int(math.log10(number)) - 1, 0)
    return math.ceil(number / step) * step


def _scored(change: Change) -> Result:
    return {
        "name": change.name,
        "share": change.kind is Kind.SHARE,
        "before": change.before,
        "after": change.after,
        "examples": change.units,
        "low": None if change.change is None else change.change.low,
        "high": None if change.change is None else change.change.high,
    }
