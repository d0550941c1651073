"""Functions of JAX and modules of Flax, through jax2onnx."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt.errors import ModelError
from onnxopt.framework import Declared, Framework, Subject, named, refusals
from onnxopt.target import Feeds, Outputs


class Jax(Framework):
    """What ``jax.jit`` returns, modules of Flax NNX, and any function that is named as JAX's."""

    modules: ClassVar = ("jax", "jaxlib", "flax")
    needs: ClassVar[Mapping[str, str]] = {"jax": "jax", "jax2onnx": "jax2onnx"}

    def subject(self, thing: Any, outputs: Sequence[str]) -> Subject:
        """Take a function of arrays; parameters that it closes over become weights."""
        linen = hasattr(thing, "apply") and hasattr(thing, "init")
        if not callable(thing) or linen:
            raise ModelError(
                f"jax: {type(thing).__name__} is no function of arrays alone; for parameters kept "
                "apart, as Flax Linen has them, export jax.jit(lambda x: model.apply(params, x))"
            )
        return _Function(thing, outputs)


def _traced(function: Any) -> Any:
    """Return what ``jax.jit`` compiles; other wrappers, as vmap's and grad's, are what is asked."""
    return function.__wrapped__ if hasattr(function, "lower") else function


class _Function(Subject):
    exporters = ("jax2onnx",)
    checks_indices = False

    def __init__(self, function: Any, outputs: Sequence[str]) -> None:
        self._function = _traced(function)
        self._names = tuple(outputs)
        self._signature: tuple[Declared, ...] = ()
        self.notes: list[str] = []

    def arguments(self) -> tuple[str, ...] | None:
        """Return the parameters of the function; None where it takes any number."""
        try:
            found = inspect.signature(self._function).parameters.values()
        except (TypeError, ValueError):
            return None
        if any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in found):
            return None
        return tuple(each.name for each in found)

    def narrowed(self, dtype: ir.DataType) -> ir.DataType:
        """Return the type of 32 bits in the place of 64, unless JAX is told to compute in those."""
        import jax

        return ir.DataType.from_numpy(np.dtype(jax.dtypes.canonicalize_dtype(dtype.numpy())))

    def settle(self, signature: Sequence[Declared]) -> None:
        """Take the inputs in this order."""
        self._signature = tuple(signature)

    def run(self, feeds: Feeds) -> Outputs:
        """Run the function without compiling it."""
        import jax

        arrays = [jax.numpy.asarray(feeds[each.name]) for each in self._signature]
        with refusals("the function"):
            leaves, _ = jax.tree_util.tree_flatten_with_path(self._function(*arrays))
        found = [(_name(path, len(leaves)), np.asarray(leaf)) for path, leaf in leaves]
        return named(found, self._names, [each.name for each in self._signature])

    def write(
        self,
        exporter: str,
        signature: Sequence[Declared],
        feeds: Feeds,
        path: Path,
        opset: int | None,
    ) -> None:
        """Trace the function to a jaxpr and translate that; open axes are symbolic."""
        import jax
        import jax2onnx

        scope = jax.export.SymbolicScope()
        with warnings.catch_warnings(), refusals(""):
            warnings.simplefilter("ignore")
            structures = [
                jax.ShapeDtypeStruct(
                    jax.export.symbolic_shape(",".join(map(str, each.dims)), scope=scope),
                    each.dtype.numpy(),
                )
                for each in signature
            ]
            options = {} if opset is None else {"opset": opset}
            jax2onnx.to_onnx(
                self._function,
                structures,
                return_mode="file",
                output_path=str(path),
                input_names=[each.name for each in signature],
                **options,
            )


def _name(path: Sequence[Any], count: int) -> str:
    keys = [str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", "")))) for key in path]
    if not keys:
        return "output"
    joined = ".".join(keys)
    if not joined[0].isdigit():
        return joined
    return "output" if count == 1 else f"output_{joined}"
