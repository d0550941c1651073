"""Symbolic shape inference on onnx-ir: which shapes follow, and why where none does."""

from __future__ import annotations

from onnxopt.shapes.dim import Dim
from onnxopt.shapes.dimtext import parse as parse_dim
from onnxopt.shapes.inference import (
    Inference,
    Memo,
    Stop,
    analyse,
    dead_end,
    infer,
    infer_node,
    known_value,
    symbolic_shape,
    symbolic_value,
)

__all__ = [
    "Dim",
    "Inference",
    "Memo",
    "Stop",
    "analyse",
    "dead_end",
    "infer",
    "infer_node",
    "known_value",
    "parse_dim",
    "symbolic_shape",
    "symbolic_value",
]
