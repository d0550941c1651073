"""All rows in one table."""

from __future__ import annotations

from types import MappingProxyType

from onnxopt.shapes.call import Row
from onnxopt.shapes.operators import (
    attention,
    control,
    creation,
    elementwise,
    indexing,
    linear,
    microsoft,
    quantization,
    recurrent,
    reductions,
    reshaping,
    resizing,
    sequences,
    windows,
)

_STANDARD: tuple[dict[str, Row], ...] = (
    elementwise.ROWS,
    reshaping.ROWS,
    indexing.ROWS,
    creation.ROWS,
    reductions.ROWS,
    windows.ROWS,
    resizing.ROWS,
    linear.ROWS,
    recurrent.ROWS,
    quantization.ROWS,
    attention.STANDARD,
    control.ROWS,
    sequences.ROWS,
    {
        "SimplifiedLayerNormalization": elementwise.layer_normalization,
        "RotaryEmbedding": elementwise.like_first,
    },
)

TABLE: MappingProxyType[tuple[str, str], Row] = MappingProxyType(
    {("", name): row for family in _STANDARD for name, row in family.items()}
    | {("com.microsoft", name): row for name, row in microsoft.ROWS.items()}
)
"""The row of each operator, by domain and name."""
