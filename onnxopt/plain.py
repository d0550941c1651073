"""Reports as plain data for JSON, which has neither infinity nor NaN."""

from __future__ import annotations

import enum
import json
import math
from typing import Any


def plain(data: Any) -> Any:
    """Replace enumerations by their values and numbers that are not finite by None."""
    if isinstance(data, dict):
        return {key: plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [plain(value) for value in data]
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    return data.value if isinstance(data, enum.Enum) else data


def json_text(data: Any) -> str:
    """Return data as JSON that every reader takes."""
    return json.dumps(plain(data), indent=2, allow_nan=False)
