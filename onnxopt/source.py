"""What a model may be given as."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir

from onnxopt.errors import UsageError
from onnxopt.io import from_proto

Source = ir.Model | onnx.ModelProto | Path | str


def source_of(model: Source) -> ir.Model | Path:
    """Return the model, or the path of its file; UsageError for what is neither."""
    if isinstance(model, onnx.ModelProto):
        return from_proto(model)
    if not isinstance(model, ir.Model | Path | str):
        raise UsageError(f"a model is a path, an onnx.ModelProto or an ir.Model, not {model!r:.60}")
    return Path(model) if isinstance(model, str) else model
