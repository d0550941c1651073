"""From a wrong result to the single rewrite that caused it, and on without it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import onnx_ir as ir
import onnx_ir.passes

from onnxopt.base import Gate, Site
from onnxopt.errors import OnnxoptError

FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    OnnxoptError,
    RuntimeError,
    TypeError,
    ValueError,
    onnx_ir.passes.InvariantError,
)
"""What a faulty pass may raise."""

MOST = 16
"""Faults after which the search gives up and the original model is handed back."""

_SAME_RULE = 3
"""Faults of one rule after which all its rewrites are put in quarantine."""


@dataclasses.dataclass(frozen=True)
class Attempt:
    """A run of the pipeline under a gate, and what was found wrong with its result."""

    model: ir.Model | None
    gate: Gate
    wrong: str | None
    right: int = 0
    """So many rewrites are known to be right (a check between two passes found no difference)."""


@dataclasses.dataclass(frozen=True)
class Quarantined:
    """A rewrite that changed what the model computes, and was left out."""

    site: Site
    why: str
    replays: int
    """Runs of the pipeline that it took to find it."""
    also: int = 0
    """Further rewrites by the same rule that were left out with it."""

    def __str__(self) -> str:
        others = f" and {self.also} more by the same rule" if self.also else ""
        return f"{self.site}{others}: {self.why}"


@dataclasses.dataclass(frozen=True)
class Hunt:
    """The last attempt, and what was left out for it; ``gave_up`` says why it is still wrong."""

    last: Attempt
    quarantined: tuple[Quarantined, ...] = ()
    denied: frozenset[Site] = frozenset()
    gave_up: str | None = None


def hunt(
    attempt: Callable[[Gate], Attempt],
    first: Attempt,
    found: Callable[[Quarantined, Gate], None] = lambda _fault, _before: None,
) -> Hunt:
    """Put wrong rewrites in quarantine until the result is right.

    ``first`` is an attempt with an open gate. Each wrong rewrite among n is found in at most
    ceil(log2 n) replays, one more where it is the very first. ``found`` is called with each and
    the gate that stops just before it. Stops at the first rewrite that cannot be told.
    """
    state = Hunt(first)
    while state.last.wrong is not None:
        if len(state.quarantined) >= MOST:
            return dataclasses.replace(
                state, gave_up=f"more than {MOST} rewrites are wrong: {state.last.wrong}"
            )
        guilty, replays = _search(attempt, state.last, state.denied)
        if guilty is None:
            return dataclasses.replace(
                state,
                gave_up="the result is wrong without any rewrite, so a pass changes the model "
                f"without asking the gate, or the run cannot be repeated: {state.last.wrong}",
            )
        site, count = guilty.gate.applied[-1], len(guilty.gate.applied)
        more = _relatives(state.quarantined, site, state.last.gate.applied)
        fault = Quarantined(site, guilty.wrong or "", replays, len(more))
        found(fault, Gate(limit=count - 1, denied=state.denied))
        denied = state.denied | {site} | more
        state = Hunt(attempt(Gate(denied=denied)), (*state.quarantined, fault), denied)
    return state


def _relatives(
    known: Sequence[Quarantined], site: Site, applied: Sequence[Site]
) -> frozenset[Site]:
    rule = site[:2]
    if sum(1 for fault in known if fault.site[:2] == rule) < _SAME_RULE - 1:
        return frozenset()
    return frozenset(other for other in applied if other[:2] == rule and other != site)


def _search(
    attempt: Callable[[Gate], Attempt], wrong: Attempt, denied: frozenset[Site]
) -> tuple[Attempt | None, int]:
    """Return the shortest run that is wrong, None if there is none, and the number of replays.

    Its last rewrite is the guilty one: without it, the run is right.
    """
    low, high, replays = wrong.right, wrong, 0
    untried = low == 0
    while len(high.gate.applied) - low > 1:
        middle = (low + len(high.gate.applied)) // 2
        trial = attempt(Gate(limit=middle, denied=denied))
        replays += 1
        if trial.wrong is None:
            low, untried = middle, False
        elif len(trial.gate.applied) < len(high.gate.applied):
            high = trial
        else:
            return None, replays
    if untried:
        replays += 1
        if attempt(Gate(limit=0, denied=denied)).wrong is not None:
            return None, replays
    return (high if high.gate.applied else None), replays
