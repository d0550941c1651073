"""Read model files."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from onnxopt.errors import ModelError


def load(path: Path | str) -> ir.Model:
    """Read a model; its format is told by the suffix."""
    try:
        return ir.load(str(path))
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: {error}") from error
