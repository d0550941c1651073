"""Ways to open a session, and which of them is the fastest."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from onnxopt import catalogue
from onnxopt.deployer.report import Candidate, Opening
from onnxopt.deployer.stages import Result
from onnxopt.deployer.timing import span_of
from onnxopt.spec import write_options
from onnxopt.target import Backend


class Way(NamedTuple):
    """A way to open a session."""

    backend: Backend
    means: str


_CHANGES: tuple[tuple[str, object, str], ...] = (
    ("threads", 1, "one thread"),
    ("spinning", False, "threads that wait for work sleep"),
)


def ways_to_open(target: str, cores: int) -> dict[str, Way]:
    """Return ways to open a session that are worth measuring, the default first, by their text."""
    usual: Any = catalogue.backend(target)
    found = {target: Way(usual, "the default")}
    fields = {field.name for field in dataclasses.fields(usual)}
    if cores > 1 and "threads" in fields and not getattr(usual, "threads", 1):
        for field, value, means in _CHANGES:
            if field in fields:
                way = dataclasses.replace(usual, **{field: value})
                found[type(way).target().name + write_options(way)] = Way(way, means)
    return found


def openings(
    rows: Mapping[str, Result], means: Mapping[str, str], named: Mapping[str, str] | None = None
) -> tuple[Opening, ...]:
    """Return what was measured of ways to open a session, ``named`` the target of each label."""
    return tuple(
        Opening(
            target=label if named is None else named[label],
            means=means[label],
            median_s=row["median_s"],
            ratio=span_of(row["ratio"]),
            outcome=row["outcome"],
            verdict=row["verdict"] or row["refused"] or "",
        )
        for label, row in rows.items()
    )


def way_of(measured: Sequence[Opening], usual: str) -> tuple[str, str]:
    """Return the way to open a session that is measurably the fastest, and why."""
    faster = [(each.ratio[0], each) for each in measured if each.outcome == "faster" and each.ratio]
    others = [each for each in measured if each.target != usual]
    if not faster:
        told = "; ".join(each.told for each in others)
        slower = all(each.outcome == "slower" for each in others)
        said = "all else is slower" if slower else "nothing else is surely faster"
        return usual, f"the default; of what was measured {said}: {told}"
    best = min(faster, key=lambda pair: pair[0])[1]
    rest = "".join(f"; {each.told}" for each in others if each is not best)
    return best.target, f"{best.means}, {best.verdict} than {usual} on this machine{rest}"


UNCONFIRMED = "the default; {} was faster beside it, but not where both stood beside the first file"


def confirmed(shipped: Sequence[Opening], candidates: Sequence[Candidate], chosen: str) -> bool:
    """Return whether a file gains as it ships what it was chosen for, and more."""
    if not shipped:
        return True
    before = next(each.ratio for each in candidates if each.label == chosen)
    after = shipped[-1].ratio
    return after is not None and (before is None or after[0] < before[0])
