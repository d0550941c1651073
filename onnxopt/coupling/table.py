"""All rows in one table."""

from __future__ import annotations

from types import MappingProxyType

from onnxopt.coupling.operators import (
    attention,
    creation,
    elementwise,
    extents,
    indexing,
    joining,
    norms,
    products,
    quantization,
    recurrent,
    reductions,
    reshaping,
    windows,
)
from onnxopt.coupling.place import Row

_FAMILIES: dict[str, tuple[dict[str, Row], ...]] = {
    "": (
        attention.ROWS,
        creation.ROWS,
        elementwise.ROWS,
        extents.ROWS,
        indexing.ROWS,
        joining.ROWS,
        norms.ROWS,
        products.ROWS,
        quantization.ROWS,
        recurrent.ROWS,
        reductions.ROWS,
        reshaping.ROWS,
        windows.ROWS,
    ),
    "com.microsoft": (
        attention.MICROSOFT,
        elementwise.MICROSOFT,
        norms.MICROSOFT,
        products.MICROSOFT,
    ),
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
