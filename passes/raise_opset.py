"""A newer version of the operator set."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from onnxopt import graph, io
from onnxopt.base import Context, Pass
from onnxopt.errors import ModelError, UsageError
from onnxopt.passes._unchanged import unchanged

_LARGE = 1024
"""Bytes from which a weight is kept out of the conversion."""
_CONVERTIBLE = 13
"""The oldest operator set from which no operator in use has changed its meaning since."""


class RaiseOpset(Pass):
    """Raise the default operator set to version ``to``, where the model's is older."""

    to: int = 20
    plain: bool = False
    """Leave a model as it is that has subgraphs, functions, operators outside ONNX, or an operator
    set older than 13: where nobody asked for the newer set, nothing is risked for it."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Convert with onnx's version converter, large weights kept aside meanwhile.

        Where all nodes mean the same as they are written, only the version is.
        """
        if graph.opset(model) >= self.to or graph.opset(model) == 0:
            return 0
        plain = _is_plain(model)
        if self.plain and not plain:
            return 0
        from onnx.defs import onnx_opset_version

        newest = onnx_opset_version()
        if self.to > newest:
            raise UsageError(
                f"operator set {self.to}: the newest that the installed onnx knows is {newest}"
            )
        if not context.gate.permit("raise-opset", "model"):
            return 0
        if plain and unchanged(model, self.to):
            model.graph.opset_imports[""] = self.to
            least = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", self.to)])
            model.ir_version = max(model.ir_version, least)
            return 1
        from onnx.version_converter import ConvertError, convert_version

        aside = _set_aside(model)
        try:
            converted = convert_version(io.to_whole_proto(model), self.to)
        except (ConvertError, RuntimeError) as problem:
            if self.plain:
                return 0
            raise ModelError(
                f"cannot raise the operator set from {graph.opset(model)} to {self.to}: "
                f"{_reason(problem)}"
            ) from problem
        finally:
            _put_back(model, aside)
        _adopt(model, io.adopt_proto(converted), aside)
        return 1


def _is_plain(model: ir.Model) -> bool:
    if graph.opset(model) < _CONVERTIBLE or model.functions:
        return False
    return not any(node.domain or graph.has_bodies(node) for node in model.graph)


def _reason(problem: Exception) -> str:
    """Return what the converter says, without the place in its own source."""
    return str(problem).partition("\n")[0].rpartition(" failed: ")[2]


def _set_aside(model: ir.Model) -> list[ir.Value]:
    """Turn the large initializers of the main graph into inputs, so that none is copied."""
    home = model.graph
    aside = [
        value
        for value in home.initializers.values()
        if value.const_value is not None
        and value.const_value.nbytes >= _LARGE
        and not value.is_graph_input()
    ]
    for value in aside:
        tensor = value.const_value
        if tensor is not None:
            value.type = ir.TensorType(tensor.dtype)
            value.shape = graph.shape_of(tensor)
        del home.initializers[value.name or ""]
        home.inputs.append(value)
    return aside


def _put_back(model: ir.Model, aside: list[ir.Value]) -> None:
    for value in aside:
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)


def _adopt(model: ir.Model, converted: ir.Model, aside: list[ir.Value]) -> None:
    """Take the converted graph over, and give its weights their contents back."""
    inputs = {value.name: value for value in converted.graph.inputs}
    for value in aside:
        twin = inputs[value.name]
        twin.const_value = value.const_value
        converted.graph.inputs.remove(twin)
        converted.graph.register_initializer(twin)
    for old, new in zip(_interface(model.graph), _interface(converted.graph), strict=True):
        new.type, new.shape = old.type, old.shape
        new.meta.update(old.meta)
    model.graph = converted.graph
    model.ir_version = max(model.ir_version, converted.ir_version)


def _interface(home: ir.Graph) -> list[ir.Value]:
    return [*home.inputs, *home.outputs]
