"""TensorFlow's SavedModels and functions, through tf2onnx."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt.errors import ModelError
from onnxopt.framework import Declared, Dim, Framework, Subject, axis_name, refusals
from onnxopt.frameworks._tensorflow import Function

_SIGNATURE = "serving_default"


class TensorFlow(Framework):
    """What ``tf.saved_model.load`` returns, its signatures, and functions of ``tf.function``."""

    modules: ClassVar = ("tensorflow",)
    needs: ClassVar[Mapping[str, str]] = {"tensorflow": "tensorflow", "tf2onnx": "tf2onnx"}

    def reads(self, path: Path) -> bool:
        """Return whether it is a SavedModel, which is a folder."""
        return path.is_dir() and (path / "saved_model.pb").exists()

    def load(self, path: Path) -> object:
        """Load a SavedModel."""
        import tensorflow as tf

        with refusals(f"{path}: cannot be loaded", tf.errors.OpError):
            return tf.saved_model.load(str(path))

    def subject(self, thing: Any, outputs: Sequence[str]) -> Subject:
        """Take the signature that serves, or a function of tensors by place."""
        signatures = getattr(thing, "signatures", None)
        if signatures:
            thing = signatures.get(_SIGNATURE) or next(iter(signatures.values()))
        if hasattr(thing, "structured_input_signature"):
            return _concrete(thing, outputs)
        if not callable(thing):
            raise ModelError(f"tensorflow: {type(thing).__name__} has no signature and is no call")

        def call(tensors: Sequence[Any]) -> list[tuple[str, Any]]:
            return _leaves(thing(*tensors))

        return Function(call, None, outputs, _parameters(thing))


def _concrete(function: Any, outputs: Sequence[str]) -> Subject:
    """Take a function whose inputs are named and typed."""
    placed, specs = function.structured_input_signature
    first = [(each.name or f"input_{at}", each) for at, each in enumerate(placed)]
    declared = tuple(_declared(name, spec) for name, spec in [*first, *sorted(specs.items())])

    def call(tensors: Sequence[Any]) -> list[tuple[str, Any]]:
        names = [each.name for each in declared[len(first) :]]
        rest = dict(zip(names, tensors[len(first) :], strict=True))
        return _leaves(function(*tensors[: len(first)], **rest))

    return Function(call, declared, outputs)


def _parameters(function: Any) -> tuple[str, ...] | None:
    """Return the parameters of a function of tensors; None where it takes any number."""
    try:
        found = inspect.signature(getattr(function, "python_function", function)).parameters
    except (TypeError, ValueError):
        return None
    if any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in found.values()):
        return None
    return tuple(found)


def _declared(name: str, spec: Any) -> Declared:
    dims: list[Dim] = [
        size if size is not None else axis_name(name, axis) for axis, size in enumerate(spec.shape)
    ]
    return Declared(name, ir.DataType.from_numpy(np.dtype(spec.dtype.as_numpy_dtype)), tuple(dims))


def _leaves(result: Any) -> list[tuple[str, Any]]:
    import tensorflow as tf

    if isinstance(result, Mapping):
        return [(str(name), result[name]) for name in sorted(result)]
    leaves = tf.nest.flatten(result)
    if len(leaves) == 1:
        return [("output", leaves[0])]
    return [(f"output_{at}", leaf) for at, leaf in enumerate(leaves)]
