"""Weights in few bits; the arithmetic stays in floating point."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass
from onnxopt.layers import readers
from onnxopt.layers.readers import Layer
from onnxopt.passes.quantize._emit import Emitter, graph_of
from onnxopt.passes.quantize._plan import Choice
from onnxopt.quantization.granularity import Granularity, PerAxis, PerBlock
from onnxopt.quantization.packing import bits_of
from onnxopt.quantization.params import Params, fit_array, quantize
from onnxopt.quantization.types import (
    BINARY,
    QuantType,
    TypeName,
    named,
    since,
)


class Weights(Pass):
    """``x W + b`` becomes ``x DQ(Q(W)) + b``: Q(W) is stored, DQ is computed.

    ``DQ(q) = s (q - z)`` with one s and z for each output channel, or for each ``block`` of a
    channel's weights. Of matrix products with constant weights; ONNX Runtime runs 2, 4 and 8 bits
    as they are stored. Binary weights are signs, stored as bits, times the mean magnitude; the
    runtime unpacks them when it opens the file. The operator set must know the type: 13 for 8 bits,
    18 for binary, 19 for float8, 21 for 4 and 16 bits and blocks, 23 for float4, 25 for 2 bits.
    Floating-point types have no zero points. In 2 bits a layer stays whose channels do not fill
    whole bytes: ONNX Runtime 1.32 computes it wrongly once it is optimized.
    """

    lossless: ClassVar[bool] = False
    quantizes: ClassVar[bool] = True

    type: TypeName = "int8"
    block: int = 0
    """Weights along a channel that share a scale; 0 is all of them."""
    symmetric: bool = True
    """Zero points are in the centre of the type."""
    least: int = 256
    """Weights of fewer elements stay."""
    only: tuple[str, ...] = ()
    """Patterns of node, output and operator names: nothing else is quantized."""
    skip: tuple[str, ...] = ()
    """Patterns of what stays in floating point."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of layers whose weights are in few bits."""
        kind = named(self.type)
        if graph.opset(model) < since(kind, self.block):
            return 0
        choice = Choice(only=self.only, skip=self.skip)
        writing = _Writing(Emitter(model), self, kind)
        changes = 0
        for node in list(model.graph):
            asked = node.op_type in ("MatMul", "Gemm") and choice.allows(node)
            layer = readers.read(node) if asked else None
            if layer is None or not self._stores(readers.contents(layer.weight), layer.axis):
                continue
            if context.gate.permit(self.name, layer.output.name or ""):
                writing.layer(layer)
                changes += 1
        return changes

    def _stores(self, weight: np.ndarray, axis: int) -> bool:
        whole = named(self.type).bits != 2 or weight.shape[axis] % 4 == 0
        return whole and weight.size >= self.least


def _release(weight: ir.Value) -> None:
    """Take a weight that lies in a file out of memory again: the file is read as a stream."""
    held = graph.tensor(weight)
    if isinstance(held, ir.ExternalTensor):
        held.release()


class _Writing:
    def __init__(self, emitter: Emitter, asked: Weights, kind: QuantType) -> None:
        self._emitter = emitter
        self._asked = asked
        self._kind = kind
        self._weights: dict[tuple[ir.Value, int], ir.Value] = {}

    def layer(self, layer: Layer) -> None:
        """Let a layer read its weight from few bits; a Gemm becomes a product and a sum."""
        weight = self._weight(layer)
        if layer.node.op_type == "MatMul":
            layer.node.replace_input_with(1, weight)
            return
        output = layer.output
        product = self._emitter.node("MatMul", [layer.x, weight], output)
        product.outputs[0].type = output.type
        graph_of(layer.node).insert_after(layer.node, product)
        graph.replace(output, product.outputs[0], fresh=True)
        graph.remove_dead([layer.node])
        if layer.bias is not None:
            plain = dataclasses.replace(layer, node=product)
            self._emitter.apart(plain, readers.contents(layer.bias).reshape(-1))

    def _weight(self, layer: Layer) -> ir.Value:
        """Return the dequantized weight as a matrix [inputs, channels]."""
        key = (layer.weight, layer.axis)
        if key not in self._weights:
            array = readers.contents(layer.weight)
            matrix = np.ascontiguousarray(array.T if layer.axis == 0 else array)
            params = fit_array(matrix, self._kind, self._reach(), symmetric=self._asked.symmetric)
            nodes = self._unpacked(matrix, params, layer.weight)
            _release(layer.weight)
            graph_of(layer.node).insert_before(layer.node, nodes)
            self._weights[key] = nodes[-1].outputs[0]
        return self._weights[key]

    def _reach(self) -> Granularity:
        block = self._asked.block
        return PerBlock(axis=0, size=block) if block else PerAxis(axis=1)

    def _unpacked(self, matrix: np.ndarray, params: Params, like: ir.Value) -> list[ir.Node]:
        integers = quantize(matrix, params)
        if self._kind is BINARY:
            return self._signs(integers, params, like)
        made = self._emitter.dequantized(integers, params, like)
        made.outputs[0].shape = ir.Shape(matrix.shape)
        return [made]

    def _signs(self, signs: np.ndarray, params: Params, like: ir.Value) -> list[ir.Node]:
        """Unpack bits: and with each power of two, take a sign for it, shape, scale."""
        emit, base, rows = self._emitter, like.name, signs.shape[0]
        padded = np.pad(signs, ((0, 0), (0, -signs.shape[1] % 8)), constant_values=-1)
        bits = emit.constant(bits_of(padded).reshape(rows, -1, 1), f"{base}_bits")
        masks = emit.constant(np.left_shift(1, np.arange(8)).astype(np.uint8), f"{base}_masks")
        plus = emit.constant(np.array(1, np.float32), f"{base}_plus")
        minus = emit.constant(np.array(-1, np.float32), f"{base}_minus")
        shape = emit.constant(np.array([rows, -1], np.int64), f"{base}_shape")
        ends = emit.constant(np.array([signs.shape[1]], np.int64), f"{base}_ends")
        start = emit.constant(np.zeros(1, np.int64), f"{base}_start")
        axis = emit.constant(np.ones(1, np.int64), f"{base}_axis")
        scale = params.granularity.spread(params.scale, signs.shape)
        factor = emit.constant(scale, f"{base}_scale")
        made = [emit.node("BitwiseAnd", [bits, masks], like)]
        made.append(emit.node("Cast", made[-1].outputs, like, {"to": int(ir.DataType.BOOL)}))
        made.append(emit.node("Where", [made[-1].outputs[0], plus, minus], like))
        made.append(emit.node("Reshape", [made[-1].outputs[0], shape], like))
        if padded.shape != signs.shape:
            made.append(emit.node("Slice", [made[-1].outputs[0], start, ends, axis], like))
        made.append(emit.node("Mul", [made[-1].outputs[0], factor], like))
        for node in made:
            node.outputs[0].shape = None
        for node, kind in zip(made, (ir.DataType.UINT8, ir.DataType.BOOL), strict=False):
            node.outputs[0].type = ir.TensorType(kind)
        for node in made[2:]:
            node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        made[-1].outputs[0].shape = ir.Shape(signs.shape)
        return made
