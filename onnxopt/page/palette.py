"""Colours of pages and plots: what a plot draws in light colours, the page turns into its own.

Series are told apart by colour and by mark or dash; the colours follow Okabe and Ito, "Color
Universal Design" (2008), darkened where they lacked contrast on white.
"""

from __future__ import annotations

from typing import Literal

INK = "#1b1f24"
MUTED = "#56606b"
RULE = "#d5dae0"
BAND = "#eceff3"
GOOD = "#00785a"
BAD = "#b84a00"

SERIES = ("#0072b2", "#c25400", "#00896a", "#a23f87", "#7a6a00", "#5a5f68")
MARKERS = ("o", "s", "^", "D", "v", "P")
Dash = Literal["-", "--", "-.", ":"] | tuple[float, tuple[float, ...]]

DASHES: tuple[Dash, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 1)))

VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    BAND: "--band",
    GOOD: "--good",
    BAD: "--bad",
    **{colour: f"--series-{number}" for number, colour in enumerate(SERIES)},
}
"""The page's variable for each colour that a plot may use."""


def series(number: int) -> str:
    """Return the colour of a series; they repeat after the sixth."""
    return SERIES[number % len(SERIES)]


def marker(number: int) -> str:
    """Return the mark of a series; they repeat after the sixth."""
    return MARKERS[number % len(MARKERS)]


def dash(number: int) -> Dash:
    """Return the dash of a series; they repeat after the sixth."""
    return DASHES[number % len(DASHES)]
