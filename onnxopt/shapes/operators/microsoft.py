"""Operators of ONNX Runtime's own domain, com.microsoft."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnxopt.shapes.call import Call, Row, normalize
from onnxopt.shapes.extent import Dims, product, total
from onnxopt.shapes.fact import NOTHING, Fact, broadcast
from onnxopt.shapes.operators import attention
from onnxopt.shapes.operators.elementwise import layer_normalization, like_first
from onnxopt.shapes.operators.linear import gemm_shape, multiply
from onnxopt.shapes.operators.quantization import dequantize, quantize
from onnxopt.shapes.operators.windows import ROWS as WINDOWS
from onnxopt.shapes.operators.windows import convolve

FLOAT = ir.DataType.FLOAT


def _turned(shape: Dims | None, transposed: int, batch: int) -> Dims | None:
    """Undo FusedMatMul's transpositions: of the last two axes, and of the batch axes before."""
    if shape is None or len(shape) < 2:
        return shape
    if batch:
        shape = (*shape[1:-1], shape[0], shape[-1])
    return (*shape[:-2], shape[-1], shape[-2]) if transposed else shape


def _fused_matmul(call: Call) -> Fact:
    a = _turned(call.shape(0), call.integer("transA", 0), call.integer("transBatchA", 0))
    b = _turned(call.shape(1), call.integer("transB", 0), call.integer("transBatchB", 0))
    return Fact(call.dtype(0), multiply(a, b))


def _matmul_n_bits(call: Call) -> Fact:
    """``[.., k]`` by packed weights of n columns is ``[.., n]``."""
    a = call.shape(0)
    return Fact(call.dtype(0), None if a is None else (*a[:-1], call.integer("N", 0) or None))


def _dynamic_quantize_matmul(call: Call) -> Fact:
    return Fact(FLOAT, multiply(call.shape(0), call.shape(1)))


def _matmul_integer_to_float(call: Call) -> Fact:
    return Fact(call.dtype(2), multiply(call.shape(0), call.shape(1)))


def _fused_gemm(call: Call) -> Fact:
    return Fact(call.dtype(0), gemm_shape(call))


def _q_gemm(call: Call) -> Fact:
    """Type as the output's zero point; float without one."""
    return Fact(call.dtype(8) if call.has(8) else FLOAT, gemm_shape(call, 3))


def _fused_conv(call: Call) -> Fact:
    return Fact(call.dtype(0), convolve(call, call.shape(0), call.shape(1)))


def _skip_normalization(call: Call) -> Sequence[Fact]:
    """Like the input, then mean and inverse deviation, then the sum that was normalized."""
    fact = like_first(call)
    stats = Fact(FLOAT, None if fact.shape is None else (*fact.shape[:-1], 1))
    return [fact, stats, stats, fact]


def _embedding(call: Call) -> Sequence[Fact]:
    """Token ids ``[b, s]`` and a table ``[v, h]`` give ``[b, s, h]``, a mask index, the sum."""
    ids, table, dtype = call.shape(0), call.shape(2), call.dtype(2)
    if ids is None or table is None:
        return [Fact(dtype), NOTHING, Fact(dtype)]
    output = Fact(dtype, (*ids, table[1]))
    return [output, Fact(ir.DataType.INT32, ids[:1]), output]


def _quantized_binary(call: Call) -> Fact:
    return Fact(call.dtype(0), broadcast(call.shape(0), call.shape(3)))


def _quantized_concat(call: Call) -> Fact:
    """Join tensors, each with scale and zero point, after the output's scale and zero point."""
    shapes = [call.shape(index) for index in range(2, len(call.inputs), 3)]
    known = [shape for shape in shapes if shape is not None]
    if not known or len(known) != len(shapes):
        return Fact(call.dtype(1))
    axis = normalize(call.integer("axis", 0), len(known[0]))
    size = total(shape[axis] for shape in known)
    return Fact(call.dtype(1), (*known[0][:axis], size, *known[0][axis + 1 :]))


def _channels_last(call: Call) -> Fact:
    """Global pool of ``[n, c, sizes]``, or of ``[n, sizes, c]`` where ``channels_last`` is set."""
    x = call.shape(0)
    if x is None:
        return Fact(call.dtype(0))
    ones = (1,) * (len(x) - 2)
    shape = (x[0], *ones, x[-1]) if call.integer("channels_last", 0) else (*x[:2], *ones)
    return Fact(call.dtype(0), shape)


def _nhwc_pool(call: Call) -> Fact:
    """Pool ``[n, sizes, c]``."""
    x = call.shape(0)
    if x is None:
        return Fact(call.dtype(0))
    call.inputs[0] = Fact(call.dtype(0), (x[0], x[-1], *x[1:-1]))
    result = WINDOWS["MaxPool"](call)
    fact = result if isinstance(result, Fact) else result[0]
    if fact.shape is None:
        return fact
    return Fact(fact.dtype, (fact.shape[0], *fact.shape[2:], fact.shape[1]))


def _expand_dims(call: Call) -> Fact:
    shape, axis = call.shape(0), call.numbers(1)
    if shape is None or not axis:
        return Fact(call.dtype(0), None if shape is None else (None,) * (len(shape) + 1))
    place = normalize(axis[0], len(shape) + 1)
    return Fact(call.dtype(0), (*shape[:place], 1, *shape[place:]))


def _gather_block_quantized(call: Call) -> Fact:
    """Rows of a quantized table, in the type of the scales."""
    table, indices = call.shape(0), call.shape(1)
    if table is None or indices is None:
        return Fact(call.dtype(2))
    axis = normalize(call.integer("gather_axis", 0), len(table))
    width = table[:axis] + indices + table[axis + 1 :]
    packed = call.dtype(0) is ir.DataType.UINT8
    bits = call.integer("bits", 4)
    if packed and axis != len(table) - 1:
        width = (*width[:-1], product((width[-1], 8 // bits)))
    return Fact(call.dtype(2), width)


_LIKE_FIRST = (
    "BiasAdd BiasGelu BiasSoftmax FastGelu Gelu "
    "GroupNorm Inverse QLinearLeakyRelu QLinearSigmoid QLinearSoftmax QuickGelu RotaryEmbedding "
    "SimplifiedLayerNormalization"
)

ROWS: dict[str, Row] = {
    **dict.fromkeys(_LIKE_FIRST.split(), like_first),
    **attention.MICROSOFT,
    "FusedMatMul": _fused_matmul,
    "FusedGemm": _fused_gemm,
    "FusedConv": _fused_conv,
    "NhwcMaxPool": _nhwc_pool,
    "MatMulNBits": _matmul_n_bits,
    "MatMulBnb4": _matmul_n_bits,
    "DynamicQuantizeMatMul": _dynamic_quantize_matmul,
    "MatMulIntegerToFloat": _matmul_integer_to_float,
    "QGemm": _q_gemm,
    "QLinearAdd": _quantized_binary,
    "QLinearMul": _quantized_binary,
    "QLinearConcat": _quantized_concat,
    "QLinearGlobalAveragePool": _channels_last,
    "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
    "LayerNormalization": layer_normalization,
    "SkipLayerNormalization": _skip_normalization,
    "SkipSimplifiedLayerNormalization": _skip_normalization,
    "EmbedLayerNormalization": _embedding,
    "ExpandDims": _expand_dims,
    "GatherBlockQuantized": _gather_block_quantized,
}
