"""What a plot is: a picture, the words for it, and the figures in it as a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple


class Interval(NamedTuple):
    """An estimate with the ends of its interval."""

    label: str
    value: float
    low: float
    high: float


class Band(NamedTuple):
    """A range of an axis that means something, such as a noise floor."""

    label: str
    low: float
    high: float


class Point(NamedTuple):
    """One place of a line; without an interval, both ends are None."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plot:
    """A picture and its equivalent in words and figures, for those who cannot see it."""

    svg: str
    alt: str
    """What the picture shows, in a sentence."""
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


_PREFIXES = (
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "u"),
)


def quantity(value: float, unit: str) -> str:
    """Return a number with three digits, a prefix of the SI and its unit: ``1.25 ms``."""
    if not unit or value == 0:
        return f"{value:.3g} {unit}".strip()
    size = abs(value)
    scale, prefix = next((p for p in _PREFIXES if size >= 0.9995 * p[0]), (1e-9, "n"))
    scaled = value / scale
    digits = f"{scaled:.0f}" if abs(scaled) >= 100 else f"{scaled:.3g}"
    return f"{digits} {prefix}{unit}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return names in one line, the first few where there are many."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
