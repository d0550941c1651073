"""Keras 3 models on TensorFlow, through tf2onnx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt.errors import ModelError
from onnxopt.framework import Declared, Dim, Framework, Subject, axis_name, refusals
from onnxopt.frameworks._tensorflow import Function


class Keras(Framework):
    """Models whose inputs are known: functional, sequential, or called once."""

    modules: ClassVar = ("keras",)
    needs: ClassVar[Mapping[str, str]] = {
        "keras": "keras",
        "tensorflow": "tensorflow",
        "tf2onnx": "tf2onnx",
    }

    def reads(self, path: Path) -> bool:
        """Return whether it is in the format of Keras 3."""
        return path.suffix == ".keras"

    def load(self, path: Path) -> object:
        """Load a model, refusing what would run code from the file."""
        import keras

        with refusals(f"{path}: cannot be loaded"):
            return keras.models.load_model(path, compile=False, safe_mode=True)

    def subject(self, thing: Any, outputs: Sequence[str]) -> Subject:
        """Take a model; it is run and exported as for inference."""
        import keras

        if keras.backend.backend() != "tensorflow":
            raise ModelError(
                f"keras: runs on {keras.backend.backend()} here; save the model as .keras and "
                "export it in a process with KERAS_BACKEND=tensorflow"
            )
        inputs = getattr(thing, "inputs", None)
        if not inputs:
            raise ModelError("keras: the model's inputs are not known yet: call it once")
        declared = _declared(inputs)
        names = list(getattr(thing, "output_names", None) or ())

        def call(tensors: Sequence[Any]) -> list[tuple[str, Any]]:
            given = tensors[0] if len(tensors) == 1 else list(tensors)
            leaves = keras.tree.flatten(thing(given, training=False))
            free = (
                names if len(names) == len(leaves) else [f"output_{i}" for i in range(len(leaves))]
            )
            return list(zip(free, leaves, strict=True))

        return Function(call, declared, outputs)


def _declared(inputs: Sequence[Any]) -> tuple[Declared, ...]:
    found = []
    for each in inputs:
        dims: list[Dim] = [
            size if size is not None else axis_name(str(each.name), axis)
            for axis, size in enumerate(each.shape)
        ]
        kind = ir.DataType.from_numpy(np.dtype(str(each.dtype)))
        found.append(Declared(str(each.name), kind, tuple(dims)))
    return tuple(found)
