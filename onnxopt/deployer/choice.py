"""Which of the files to deploy, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from onnxopt.comparison.words import examples_text
from onnxopt.deployer.report import OPTIMIZED, QUANTIZED, Candidate


class Bound(NamedTuple):
    """What a quantized file had to keep."""

    text: str = ""
    scored: bool = False
    """Whether that is on its first metric."""


NONE = Bound()


def best_of(candidates: Sequence[Candidate], bound: Bound = NONE) -> tuple[str, str]:
    """Return what to deploy and why.

    The fastest that is measurably faster than the first, the quantized one only where its interval
    lies below what the optimized one takes, if that could be told; without any, the optimized
    model, unless it is slower.
    """
    first = candidates[0].label
    fit = [each for each in candidates[1:] if each.refused is None]
    optimized = next((each for each in fit if each.label == OPTIMIZED), None)
    faster = [each for each in fit if each.outcome == "faster" and each.ratio is not None]
    if faster:
        best = min(faster, key=_taken)
        told = optimized is not None and optimized.outcome in ("faster", "same")
        if optimized is None or not told or best is optimized or _surely(best, optimized):
            return best.label, _why(best, first, bound)
        if optimized in faster:
            return OPTIMIZED, _why(optimized, first, bound)
    if optimized is not None and optimized.outcome != "slower":
        same = f"it computes the same as the {first} one"
        if not optimized.verdict:
            return OPTIMIZED, f"{same}, and latency was not measured"
        if optimized.outcome == "unknown":
            return OPTIMIZED, f"{same}; which is faster could not be told ({optimized.verdict})"
        return OPTIMIZED, f"{same} and is not slower ({optimized.verdict})"
    return first, "nothing that was tried is as fast and keeps its outputs"


def _surely(best: Candidate, optimized: Candidate) -> bool:
    """Return whether all of the interval of one lies below what the exact one takes."""
    return best.ratio is not None and best.ratio[2] < _taken(optimized)


def _why(best: Candidate, first: str, bound: Bound) -> str:
    times = ""
    if best.ratio is not None:
        value, least, most = (1 / best.ratio[at] for at in (0, 2, 1))
        times = f" ({value:.2f} times as fast, {least:.2f} to {most:.2f})"
    text = f"{best.verdict} than the {first} one{times}"
    if best.label != QUANTIZED:
        return f"{text}, and it computes the same"
    if not bound.text:
        return text
    if not bound.scored:
        return f"{text}, and within its bound where it was compared: {bound.text}"
    metric = best.metrics[0]
    told = f"{metric.name} {' -> '.join(metric.ends())} on {examples_text(metric.examples)}"
    return f"{text}; {told}, and within its bound: {bound.text}"


def left_behind(candidates: Sequence[Candidate], chosen: str, *, measured: bool) -> list[str]:
    """Say of each file that was made and is not deployed why it is not."""
    taken = next(each for each in candidates if each.label == chosen)
    first, found = candidates[0].label, []
    for each in candidates[1:]:
        if each.label == chosen:
            continue
        why = each.refused or each.verdict
        if not each.refused and each.ratio is not None and taken.ratio is not None:
            more = taken.ratio[2] < each.ratio[0] and each.outcome != "unknown"
            ratios = f"{_taken(each):.3f} beside {_taken(taken):.3f} of the {first} one's time"
            why = f"{'slower than' if more else 'not surely faster than'} the {chosen} one"
            if each.outcome == "unknown":
                why = f"undecided ({each.verdict})"
            why = f"{why}: {ratios}"
        unsure = "" if measured else "whether it is faster was not measured"
        found.append(f"{each.name}: {why or unsure}".rstrip(": "))
    return found


def _taken(each: Candidate) -> float:
    """Return the share of the first one's time where all took turns."""
    side_by_side = each.chosen_for or each.ratio
    return 1.0 if side_by_side is None else side_by_side[0]
