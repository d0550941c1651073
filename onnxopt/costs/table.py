"""All rows in one table."""

from __future__ import annotations

from types import MappingProxyType

from onnxopt.costs.operators import attention, elementwise, movement, products, windows
from onnxopt.costs.place import Row

_FAMILIES: dict[str, tuple[dict[str, Row], ...]] = {
    "": (products.ROWS, windows.ROWS, attention.ROWS, elementwise.ROWS, movement.ROWS),
    "com.microsoft": (
        products.MICROSOFT,
        windows.MICROSOFT,
        attention.MICROSOFT,
        elementwise.MICROSOFT,
        movement.MICROSOFT,
    ),
    "ai.onnx.ml": (elementwise.ML, movement.ML),
}

TABLE: MappingProxyType[tuple[str, str], Row] = MappingProxyType(
    {
        (domain, name): row
        for domain, families in _FAMILIES.items()
        for family in families
        for name, row in family.items()
    }
)
"""The row of each operator, by domain and name."""
