"""Operators that work element by element, with broadcasting or without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from onnxopt.shapes.call import Call, Row
from onnxopt.shapes.contents import (
    BINARY,
    INTEGERS,
    UNARY,
    Binary,
    cast_item,
    choose,
    fits,
    followed,
    stretched,
)
from onnxopt.shapes.extent import Dims
from onnxopt.shapes.fact import Content, Contradiction, Fact, broadcast

BOOL = ir.DataType.BOOL


def like_first(call: Call) -> Fact:
    """Keep the first input's type and shape."""
    fact = call.fact(0)
    return fact if fact.content is None else Fact(fact.dtype, fact.shape, None, fact.type)


def bool_like_first(call: Call) -> Fact:
    """Make booleans in the first input's shape."""
    return Fact(BOOL, call.shape(0))


def _unary(call: Call) -> Fact:
    """Like the first input; contents follow where the operator has a row for items."""
    fact = call.fact(0)
    if fact.dtype is None or followed(fact.dtype, fact.shape) is None:
        return like_first(call)
    content = call.content(0)
    if content is None:
        return like_first(call)
    apply, dtype = UNARY[call.node.op_type], fact.dtype
    return Fact(dtype, fact.shape, tuple([fits(apply(item), dtype) for item in content]))


def _identity(call: Call) -> Fact:
    fact = call.fact(0)
    if fact.content is None and followed(fact.dtype, fact.shape) is not None:
        return fact._replace(content=call.content(0))
    return fact


def _variadic(call: Call) -> Fact:
    """Broadcast any number of inputs of one type."""
    shape = call.shape(0)
    for index in range(1, len(call.inputs)):
        shape = _broadcast(call, shape, call.shape(index))
    dtype = _first_dtype(call)
    return Fact(dtype, shape, _variadic_content(call, dtype, shape))


def _compare(call: Call) -> Fact:
    """Broadcast two inputs to booleans."""
    shape = _broadcast(call, call.shape(0), call.shape(1))
    return Fact(BOOL, shape, _variadic_content(call, BOOL, shape))


def _broadcast(call: Call, a: Dims | None, b: Dims | None) -> Dims | None:
    shape = broadcast(a, b)
    if shape is not None and None in shape:
        axis = shape.index(None) - len(shape)
        pair = [size[axis] for size in (a, b) if size is not None]
        call.stop(f"whether {pair[0]} and {pair[-1]} are equal, or one of them 1, is not known")
    return shape


def _first_dtype(call: Call) -> ir.DataType | None:
    for fact in call.inputs:
        if fact is not None and fact.dtype is not None:
            return fact.dtype
    return None


def _variadic_content(call: Call, dtype: ir.DataType | None, dims: Dims | None) -> Content | None:
    function = BINARY.get(call.node.op_type)
    if function is None or dtype is None or call.integer("fmod", 0):
        return None
    if len(call.inputs) > 2 and dtype not in INTEGERS:  # rounded after each step when it runs
        return None
    shape = followed(dtype, dims)
    if shape is None:
        return None
    result: Content | None = None
    for index, fact in enumerate(call.inputs):
        if fact is None or followed(fact.dtype, fact.shape) is None:
            return None
        content = call.content(index)
        spread = None if content is None else stretched(content, fact.shape, shape)
        if spread is None:
            return None
        result = spread if result is None else _combine(function, result, spread)
    return None if result is None else tuple([fits(item, dtype) for item in result])


def _combine(function: Binary, a: Content, b: Content) -> Content:
    return tuple(map(function, a, b))


def _where(call: Call) -> Fact:
    """Broadcast condition, then and else."""
    dims = _broadcast(call, _broadcast(call, call.shape(0), call.shape(1)), call.shape(2))
    dtype = call.dtype(1) or call.dtype(2)
    shape = followed(dtype, dims)
    content: Content | None = None
    if shape is not None:
        spread = []
        for index in range(3):
            own = call.content(index)
            if own is None:
                own = (None,) * int(np.prod(followed(BOOL, call.shape(index)) or (0,)))
            spread.append(stretched(own, call.shape(index), shape))
        if all(part is not None for part in spread):
            content = tuple(map(choose, *(part or () for part in spread)))
    return Fact(dtype, dims, content)


def _cast(call: Call) -> Fact:
    """Change the element type to ``to``."""
    dtype = ir.DataType(call.integer("to", 0))
    return _cast_to(call, dtype)


def _cast_like(call: Call) -> Fact:
    dtype = call.dtype(1)
    return Fact(None, call.shape(0)) if dtype is None else _cast_to(call, dtype)


def _cast_to(call: Call, dtype: ir.DataType) -> Fact:
    dims = call.shape(0)
    if followed(dtype, dims) is None or followed(call.dtype(0), dims) is None:
        return Fact(dtype, dims)
    content = call.content(0)
    if content is None:
        return Fact(dtype, dims)
    return Fact(dtype, dims, tuple(cast_item(item, dtype) for item in content))


def _dropout(call: Call) -> Sequence[Fact]:
    """Add a mask of the same shape; booleans from opset 10."""
    kind = BOOL if call.version >= 10 else call.dtype(0)
    return [like_first(call), Fact(kind, call.shape(0))]


def _batch_normalization(call: Call) -> Sequence[Fact]:
    """Add statistics of one element a channel, where they are outputs."""
    one = Fact(call.dtype(3) or call.dtype(0), call.shape(3))
    return [like_first(call), one, one, one, one]


def layer_normalization(call: Call) -> Sequence[Fact]:
    """Mean and inverse deviation keep the axes, those normalized with extent 1."""
    shape = call.shape(0)
    kind = ir.DataType(call.integer("stash_type", 1))
    if shape is None:
        return [like_first(call), Fact(kind), Fact(kind)]
    axis = call.integer("axis", -1)
    if not -len(shape) <= axis < len(shape):
        raise Contradiction(f"axis {axis} does not exist in {len(shape)} axes")
    kept = shape[: axis % len(shape)]
    stats = Fact(kind, kept + (1,) * (len(shape) - len(kept)))
    return [like_first(call), stats, stats]


def _clip(call: Call) -> Fact:
    fact = like_first(call)
    if fact.dtype is None or followed(fact.dtype, fact.shape) is None:
        return fact
    content = call.content(0)
    if content is None:
        return fact
    for index, name in ((1, "Max"), (2, "Min")):
        if not call.has(index):
            continue
        edge = call.content(index)
        content = tuple(BINARY[name](item, edge[0] if edge else None) for item in content)
    return fact._replace(content=content if call.version >= 11 else None)


_SAME = (
    "Acos Acosh Asin Asinh Atan Atanh BitwiseNot Celu Cos Cosh CumProd CumSum Elu Erf Exp "
    "Gelu GroupNormalization HardSigmoid HardSwish Hardmax InstanceNormalization LRN LeakyRelu Log "
    "LogSoftmax LpNormalization MeanVarianceNormalization Mish PRelu RMSNormalization Relu "
    "ReverseSequence Scatter Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Swish Tan "
    "Tanh TensorScatter ThresholdedRelu Trilu"
)
_BROADCAST = "Add BitShift BitwiseAnd BitwiseOr BitwiseXor Div Max Mean Min Mod Mul Pow Sub Sum"
_COMPARE = "And Equal Greater GreaterOrEqual Less LessOrEqual Or Xor"

ROWS: dict[str, Row] = {
    **dict.fromkeys(_SAME.split(), like_first),
    **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(_BROADCAST.split(), _variadic),
    **dict.fromkeys(_COMPARE.split(), _compare),
    "Identity": _identity,
    "IsInf": bool_like_first,
    "IsNaN": bool_like_first,
    "Where": _where,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Clip": _clip,
    "Dropout": _dropout,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": layer_normalization,
}
