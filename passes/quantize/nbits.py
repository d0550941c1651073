"""Weights in few bits, in ONNX Runtime's own operator for them."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass
from onnxopt.layers import readers
from onnxopt.layers.readers import Layer
from onnxopt.passes.quantize._emit import Emitter, graph_of
from onnxopt.passes.quantize._plan import Choice
from onnxopt.quantization.granularity import PerBlock
from onnxopt.quantization.packing import pack
from onnxopt.quantization.params import Params, fit_array, quantize
from onnxopt.quantization.stream import stream
from onnxopt.quantization.types import named

DOMAIN = "com.microsoft"
OPERATOR = f"{DOMAIN}::MatMulNBits"


class Nbits(Pass):
    """``x W + b`` becomes ``MatMulNBits(x, Q(W)) + b``, which needs ONNX Runtime to be read.

    Beside the plain ONNX of ``quantize/weights``, from which ONNX Runtime makes the same operator,
    it takes 8 bits in blocks, any number of outputs in 2 bits, and says itself in how many bits it
    multiplies. Where a target has no such operator nothing changes. It pays where few rows are
    multiplied at a time, as when a text is written token by token: ``rows`` leaves layers out that
    multiply more.
    """

    lossless: ClassVar[bool] = False
    quantizes: ClassVar[bool] = True

    bits: Literal[2, 4, 8] = 4
    block: int = 128
    """Weights of a channel that share a scale: a power of two from 16 on."""
    symmetric: bool = False
    """Zero points are in the centre of the type, and not stored."""
    accuracy_level: Literal[0, 1, 2, 3, 4] = 4
    """What is multiplied in: 1 float32, 2 float16, 3 bfloat16, 4 int8; 0 is for the runtime."""
    rows: int = 0
    """Layers that multiply more rows at a time stay; 0 is any number.

    Where shapes do not tell, the samples do.
    """
    least: int = 256
    """Weights of fewer elements stay."""
    only: tuple[str, ...] = ()
    """Patterns of node, output and operator names: nothing else is quantized."""
    skip: tuple[str, ...] = ()
    """Patterns of what stays in floating point."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of layers that are run by the operator."""
        if OPERATOR not in context.target.operators:
            return 0
        choice = Choice(only=self.only, skip=self.skip)
        asked = [n for n in model.graph if n.op_type in ("MatMul", "Gemm") and choice.allows(n)]
        found = [layer for layer in map(readers.read, asked) if layer is not None]
        layers = [layer for layer in found if readers.contents(layer.weight).size >= self.least]
        if self.rows:
            many = _rows(model, layers, context)
            layers = [layer for layer in layers if many[layer.x] <= self.rows]
        emitter, changes = Emitter(model), 0
        for layer in layers:
            if context.gate.permit(self.name, layer.output.name or ""):
                self._write(layer, emitter)
                changes += 1
        if changes:
            model.opset_imports.setdefault(DOMAIN, 1)
        return changes

    def _write(self, layer: Layer, emitter: Emitter) -> None:
        array = readers.contents(layer.weight)
        matrix = np.ascontiguousarray(array.T if layer.axis == 0 else array)
        kind, reach = named(f"uint{self.bits}"), PerBlock(axis=0, size=self.block)
        params = fit_array(matrix, kind, reach, symmetric=self.symmetric)
        base, output = layer.weight.name, layer.output
        held: list[ir.Value | None] = [
            layer.node.inputs[0],  # a layer before may have been written by now
            emitter.constant(blocks(quantize(matrix, params), params), f"{base}_uint{self.bits}"),
            emitter.constant(np.ascontiguousarray(params.scale.T), f"{base}_scale"),
        ]
        if not self.symmetric:
            held.append(emitter.constant(zero_points(params), f"{base}_zero_point"))
        sizes = {
            "K": matrix.shape[0],
            "N": matrix.shape[1],
            "bits": self.bits,
            "block_size": self.block,
            "accuracy_level": self.accuracy_level,
        }
        made = emitter.node("MatMulNBits", held, output, sizes)
        made.domain = DOMAIN
        product = made.outputs[0]
        product.type = output.type
        nodes = [made]
        if layer.bias is not None:
            row = emitter.constant(readers.contents(layer.bias).reshape(-1), f"{base}_bias")
            nodes.append(emitter.node("Add", [product, row], output))
            nodes[-1].outputs[0].type = output.type
        graph_of(layer.node).insert_after(layer.adds or layer.node, nodes)
        graph.replace(output, nodes[-1].outputs[0], fresh=True)
        graph.remove_dead([layer.adds or layer.node])


def blocks(integers: np.ndarray, params: Params) -> np.ndarray:
    """Return integers [inputs, outputs] as bytes [outputs, blocks, bytes of a block]."""
    assert isinstance(params.granularity, PerBlock)
    size, bits = params.granularity.size, params.type.bits
    rows = integers.T
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % size)))
    return pack(padded, bits).reshape(len(rows), -1, size * bits // 8)


def zero_points(params: Params) -> np.ndarray:
    """Return the zero points of blocks as bytes [outputs, bytes], each row by itself."""
    bits = params.type.bits
    rows = params.zero_point.T
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % (8 // bits))))
    return pack(padded, bits).reshape(len(rows), -1)


def _rows(model: ir.Model, layers: list[Layer], context: Context) -> dict[ir.Value, int]:
    """Return how many rows each layer multiplies at a time, by what it reads."""
    found: dict[ir.Value, int] = {}
    for layer in layers:
        dims = graph.dims(layer.x)
        if dims is not None and all(isinstance(size, int) for size in dims[:-1]):
            found[layer.x] = math.prod(int(size) for size in dims[:-1] if size is not None)
    open_ = [layer.x for layer in layers if layer.x not in found]

    def look(value: ir.Value, array: np.ndarray, _: str) -> None:
        found[value] = max(found.get(value, 0), math.prod(array.shape[:-1]))

    if open_:
        stream(model, list(dict.fromkeys(open_)), context, look, "rows of products")
    return found
