"""What a diagnosis says."""

from __future__ import annotations

import dataclasses
from typing import Literal

Severity = Literal["ok", "note", "warning", "problem"]

SEVERITIES: tuple[Severity, ...] = ("ok", "note", "warning", "problem")
"""From what is as it should be to what keeps models from running, or from running right."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    severity: Severity
    text: str
    """What is so."""
    meaning: str = ""
    """What follows from it; empty where that is plain."""
    remedy: str = ""
    """A command that changes it, where there is one."""
