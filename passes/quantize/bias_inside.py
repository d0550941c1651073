"""Products on integers with their bias inside, in ONNX Runtime's own operator for them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass
from onnxopt.layers.readers import contents
from onnxopt.passes.quantize._emit import Emitter, graph_of

DOMAIN = "com.microsoft"
OPERATOR = f"{DOMAIN}::MatMulIntegerToFloat"
_SIGNS = {"Add": 1.0, "Sub": -1.0}


class BiasInside(Pass):
    """``DQ(x) DQ(W) + b`` becomes ``MatMulIntegerToFloat(x, W, b)``, for ONNX Runtime alone.

    It makes that operator of the product by itself, but leaves a bias behind it in an operator of
    its own. Runs behind ``quantize/static``; where a target has no such operator nothing changes.
    """

    lossless: ClassVar[bool] = False

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of products that take their bias in."""
        if OPERATOR not in context.target.operators:
            return 0
        emitter, changes = Emitter(model), 0
        for node in list(model.graph):
            found = _operands(node)
            total = None if found is None else _sum(node, found[1])
            if found is None or total is None:
                continue
            if context.gate.permit(self.name, total.outputs[0].name or ""):
                self._write(node, total, found, emitter)
                changes += 1
        if changes:
            model.opset_imports.setdefault(DOMAIN, 1)
        return changes

    def _write(self, node: ir.Node, total: ir.Node, held: list[ir.Value], emitter: Emitter) -> None:
        output = total.outputs[0]
        sign, row = _SIGNS[total.op_type], _bias(total)
        bias = (sign * contents(row).reshape(-1)).astype(np.float32)
        inputs: list[ir.Value | None] = [*held, emitter.constant(bias, f"{row.name}_inside")]
        made = emitter.node("MatMulIntegerToFloat", inputs, output)
        made.domain, made.name = DOMAIN, node.name
        made.outputs[0].type = output.type
        graph_of(total).insert_after(total, made)
        graph.replace(output, made.outputs[0], fresh=True)
        graph.remove_dead([total])


def _operands(node: ir.Node) -> list[ir.Value] | None:
    """Return data, weight, both scales and both zero points of a product of quantized ones."""
    if node.op_type != "MatMul" or node.domain:
        return None
    makers = [value.producer() for value in node.inputs if value is not None]
    if any(each is None or each.op_type != "DequantizeLinear" for each in makers):
        return None
    data, weight = (each for each in makers if each is not None)
    pairs = zip(data.inputs, weight.inputs, strict=False)
    found = [value for pair in pairs for value in pair if value is not None]
    if len(found) != 6 or graph.scalar(found[2]) is None or found[0].dtype != ir.DataType.UINT8:
        return None
    held, steps = graph.array(found[1]), graph.array(found[3])
    if held is None or held.ndim != 2 or held.dtype != np.int8 or steps is None:
        return None
    if steps.ndim > 1 or (steps.ndim == 1 and graph.attr_int(weight, "axis", 1) not in (1, -1)):
        return None
    return found


def _sum(node: ir.Node, weight: ir.Value) -> ir.Node | None:
    """Return what adds a constant row to a product, or takes one away, and alone reads it."""
    product = node.outputs[0]
    uses = list(product.uses())
    if len(uses) != 1 or product.is_graph_output():
        return None
    total = uses[0].node
    if total.domain or total.op_type not in _SIGNS or graph_of(total) is not graph_of(node):
        return None
    if total.op_type == "Sub" and uses[0].idx != 0:
        return None
    row = graph.array(_bias(total))
    if row is None or row.dtype != np.float32 or row.ndim == 0:
        return None
    rank, channels = len(graph.dims(product) or ()), contents(weight).shape[1]
    return total if row.ndim <= max(rank, 1) and row.shape[-1] == row.size == channels else None


def _bias(total: ir.Node) -> ir.Value:
    """Return the operand of a sum that is a constant."""
    one, other = total.inputs
    assert one is not None
    assert other is not None
    return other if graph.tensor(other) is not None else one
