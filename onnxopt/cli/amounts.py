"""Times and shares as people write them."""

from __future__ import annotations

import math
import re

import typer

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds(text: str | float) -> float:
    """Return a length of time in seconds: ``90``, ``90s``, ``1.5m``."""
    found = re.fullmatch(r"([\d.]+)\s*([a-z]*)", str(text).strip())
    value = _number(found[1]) if found and found[2] in _UNITS else 0.0
    if found is None or value <= 0:
        raise typer.BadParameter(f"'{text}' is no length of time; write 60, 60s or 2m")
    return value * _UNITS[found[2]]


def share(text: str | float) -> float:
    """Return a share of 1: ``1%`` and ``0.01`` are the same; raises BadParameter for none."""
    text = str(text)
    number = _number(text.strip().removesuffix("%")) / (100 if "%" in text else 1)
    if not 0 < number < 1:
        raise typer.BadParameter(f"'{text}' is no share above 0 and below 1; write 50% or 0.5")
    return number


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0
