"""Model files: reading and writing, in protobuf and text, with and without data files."""

from __future__ import annotations

from onnxopt.io.convert import adopt_proto, from_proto, to_proto, to_whole_proto
from onnxopt.io.read import load
from onnxopt.io.slots import model_size
from onnxopt.io.write import save

__all__ = ["adopt_proto", "from_proto", "load", "model_size", "save", "to_proto", "to_whole_proto"]
