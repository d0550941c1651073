"""Model files: reading and writing."""

from __future__ import annotations

from onnxopt.io.read import load
from onnxopt.io.write import save

__all__ = ["load", "save"]
