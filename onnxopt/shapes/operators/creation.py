"""Operators that make tensors from shapes, ranges and attributes."""

from __future__ import annotations

import math

import onnx_ir as ir

from onnxopt.shapes import extent
from onnxopt.shapes.bounds import maximum
from onnxopt.shapes.call import Call, Row
from onnxopt.shapes.constants import dims_of, tensor_of
from onnxopt.shapes.contents import fits, followed
from onnxopt.shapes.dim import Dim
from onnxopt.shapes.extent import Extent
from onnxopt.shapes.fact import Content, Contradiction, Fact, Item
from onnxopt.shapes.operators.reshaping import as_extents, unknown_axes

FLOAT = ir.DataType.FLOAT
INT64 = ir.DataType.INT64
STRING = ir.DataType.STRING


def _constant(call: Call) -> Fact:
    """Take whichever attribute is given; the content of a tensor is read when asked for."""
    for name, attribute in call.attributes.items():
        match name:
            case "value":
                tensor = tensor_of(attribute)
                return Fact(tensor.dtype, dims_of(tensor))
            case "value_int":
                return Fact(INT64, (), (attribute.as_int(),))
            case "value_ints":
                return Fact(INT64, (len(attribute.as_ints()),), tuple(attribute.as_ints()))
            case "value_float":
                return Fact(FLOAT, (), (attribute.as_float(),))
            case "value_floats":
                return Fact(FLOAT, (len(attribute.as_floats()),))
            case "value_string":
                return Fact(STRING, ())
            case "value_strings":
                return Fact(STRING, (len(attribute.as_strings()),))
            case "sparse_value":
                return Fact(None, None)
    raise Contradiction("it has no value")


def _constant_of_shape(call: Call) -> Fact:
    """Repeat one number everywhere, float zero by default."""
    attribute = call.attributes.get("value")
    tensor = None if attribute is None else tensor_of(attribute)
    dtype = FLOAT if tensor is None else tensor.dtype
    wanted = call.content(0)
    if wanted is None:
        call.stop("the shape it is given is computed from data")
        return Fact(dtype, unknown_axes(call, 0))
    dims = as_extents(wanted)
    shape = followed(dtype, dims)
    if shape is None:
        return Fact(dtype, dims)
    item: Item = 0 if tensor is None else tensor.numpy().reshape(-1)[0].item()
    return Fact(dtype, dims, (fits(item, dtype),) * math.prod(shape))


def _range(call: Call) -> Fact:
    """``ceil((limit - start) / step)`` numbers, none where that is negative."""
    dtype = call.dtype(0) or call.dtype(1)
    items: list[Item] = []
    for index in range(3):
        content = call.content(index)
        items.append(content[0] if content else None)
    start, limit, step = items
    numbers = [item for item in items if isinstance(item, int | float)]
    if len(numbers) == 3:
        return _known_range(dtype, numbers)
    length: Extent = None
    if not any(isinstance(item, float) for item in items):
        length = extent.minus(_extent(limit), _extent(start))
        length = extent.over_up(length, _extent(step))
    if length is None:
        call.stop("the length of its range is computed from data")
        return Fact(dtype, (None,))
    return Fact(dtype, (maximum(length, 0),))


def _extent(item: Item) -> Extent:
    return item if isinstance(item, int | Dim) else None


def _known_range(dtype: ir.DataType | None, numbers: list[int | float]) -> Fact:
    start, limit, step = numbers
    if step == 0:
        raise Contradiction("its step is 0")
    span = fits(limit - start, dtype) if dtype is not None else None
    if not isinstance(span, int | float):
        return Fact(dtype, (None,))
    length = max(0, math.ceil(span / step))
    if all(isinstance(number, int) for number in numbers):
        length = max(0, int(-((start - limit) // step)))
    shape = followed(dtype, (length,))
    content: Content | None = None
    if shape is not None and dtype is not None:
        content = tuple(fits(start + place * step, dtype) for place in range(length))
    return Fact(dtype, (length,), content)


def _typed(call: Call, default: ir.DataType | None) -> ir.DataType | None:
    given = call.integer("dtype", 0)
    return ir.DataType(given) if given else default


def _like(call: Call) -> Fact:
    """Keep the first input's shape, in the element type of ``dtype`` where it is given."""
    return Fact(_typed(call, call.dtype(0)), call.shape(0))


def _random(call: Call) -> Fact:
    return Fact(_typed(call, FLOAT), call.ints("shape"))


def _multinomial(call: Call) -> Fact:
    shape = call.shape_of_rank(0, 2)
    rows = None if shape is None else shape[0]
    kind = _typed(call, ir.DataType.INT32)
    return Fact(kind, (rows, call.integer("sample_size", 1)))


def _window(call: Call) -> Fact:
    """As many samples as the input says."""
    size = call.content(0)
    kind = ir.DataType(call.integer("output_datatype", 1))
    return Fact(kind, as_extents(size) if size is not None and len(size) == 1 else (None,))


ROWS: dict[str, Row] = {
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
    "EyeLike": _like,
    "RandomNormalLike": _like,
    "RandomUniformLike": _like,
    "Bernoulli": _like,
    "RandomNormal": _random,
    "RandomUniform": _random,
    "Multinomial": _multinomial,
    "HannWindow": _window,
    "HammingWindow": _window,
    "BlackmanWindow": _window,
}
