"""All rows in one table."""

from __future__ import annotations

from types import MappingProxyType

from onnxopt.shapes.call import Row
from onnxopt.shapes.operators import (
    creation,
    elementwise,
    indexing,
    linear,
    reductions,
    reshaping,
    resizing,
    windows,
)

_STANDARD = (
    elementwise,
    reshaping,
    indexing,
    creation,
    reductions,
    windows,
    resizing,
    linear,
)

TABLE: MappingProxyType[tuple[str, str], Row] = MappingProxyType(
    {("", name): row for family in _STANDARD for name, row in family.ROWS.items()}
)
"""The row of each operator, by domain and name."""
