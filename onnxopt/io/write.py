"""Write model files."""

from __future__ import annotations

import os
from pathlib import Path

import onnx_ir as ir

from onnxopt.errors import ModelError


def save(model: ir.Model, path: Path | str, *, external_data: bool | None = None) -> None:
    """Write a model beside its target, then rename it."""
    target = Path(path)
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        ir.save(model, str(temporary), external_data=f"{target.name}.data" if external_data else None)
        temporary.replace(target)
    except OSError as error:
        raise ModelError(f"{target}: {error}") from error
