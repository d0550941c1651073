"""Operators that give the same elements another shape or order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from onnxopt.shapes import extent
from onnxopt.shapes.call import Call, Row, normalize
from onnxopt.shapes.contents import array, flat, followed, stretched
from onnxopt.shapes.dim import Dim
from onnxopt.shapes.extent import Dims, Extent, static
from onnxopt.shapes.fact import Content, Contradiction, Fact, Item, broadcast


def as_extents(content: Content) -> Dims:
    """Take a tensor's content for extents; an item that is no size is unknown."""
    return tuple(item if isinstance(item, int | Dim) else None for item in content)


def unknown_axes(call: Call, index: int) -> Dims | None:
    """Return as many unknown extents as the 1-D input has elements, where that is known."""
    shape = call.shape(index)
    if shape is None or len(shape) != 1 or not isinstance(shape[0], int) or shape[0] > 64:
        return None
    return (None,) * shape[0]


def _moved(call: Call, shape: Dims | None) -> Fact:
    """Keep the elements of input 0, in the same order, in another shape."""
    fact = call.fact(0)
    content: Content | None = None
    if followed(fact.dtype, fact.shape) is not None:
        content = call.content(0)
        numbers = static(shape)
        if content is not None and numbers is not None and math.prod(numbers) != len(content):
            raise Contradiction(f"{len(content)} elements do not fill the shape {list(numbers)}")
    return Fact(fact.dtype, shape, content)


def _reshape(call: Call) -> Fact:
    """``shape`` says the extents; 0 copies, and one -1 takes what is left."""
    wanted = call.content(1)
    if wanted is None and call.ints("shape") is not None:
        wanted = call.ints("shape")
    source = call.shape(0)
    if wanted is None:
        axes = unknown_axes(call, 1)
        if axes is not None and len(axes) == 1 and source is not None:
            return _moved(call, (extent.product(source),))
        call.stop("the shape it is given is computed from data")
        return Fact(call.dtype(0), axes)
    shape = list(as_extents(wanted))
    if not call.integer("allowzero", 0):
        _copy_zeros(shape, source)
    _solve(shape, source)
    if None in shape:
        call.stop("extents of the shape it is given are computed from data")
    return _moved(call, tuple(shape))


def _copy_zeros(shape: list[Extent], source: Dims | None) -> None:
    for axis, size in enumerate(shape):
        if size == 0 and size is not None:
            if source is not None and axis >= len(source):
                raise Contradiction(f"a 0 stands for axis {axis}, which its input has not")
            shape[axis] = None if source is None else source[axis]


def _solve(shape: list[Extent], source: Dims | None) -> None:
    """Replace the one -1, or the one unknown extent, by what the element count leaves it.

    Extents on both sides cancel first; what is left is divided as polynomials. They are taken to
    be nonzero here: with an empty axis in play a -1 has no defined value.
    """
    holes = [axis for axis, size in enumerate(shape) if size is None or size == -1]
    if not holes:
        _check_count(shape, source)
        return
    asked = [axis for axis in holes if shape[axis] == -1]
    if len(asked) > 1:
        raise Contradiction("its shape has more than one -1")
    for axis in asked:
        shape[axis] = None
    if len(holes) > 1 or source is None:
        return
    left, right = list(source), [size for size in shape if size is not None]
    for size in tuple(right):
        if size in left and size != 0:
            left.remove(size)
            right.remove(size)
    above, below = extent.product(left), extent.product(right)
    if below == 0:
        return
    if isinstance(above, int) and isinstance(below, int) and above % below:
        raise Contradiction(f"{above} elements cannot be divided by {below}")
    exact = extent.exactly(above, below)
    shape[holes[0]] = extent.over(above, below) if exact is None else exact


def _check_count(shape: list[Extent], source: Dims | None) -> None:
    if static(tuple(shape)) is None or static(source) is None:
        return
    have, want = extent.product(source or ()), extent.product(shape)
    if have != want:
        raise Contradiction(f"{have} elements do not fill the shape {shape}")


def _flatten(call: Call) -> Fact:
    """Axes before ``axis`` become the first, the others the second."""
    shape = call.shape(0)
    if shape is None:
        return Fact(call.dtype(0), (None, None))
    axis = call.integer("axis", 1)
    cut = axis + len(shape) if axis < 0 else axis
    if not 0 <= cut <= len(shape):
        raise Contradiction(f"axis {axis} does not exist in {len(shape)} axes")
    return _moved(call, (extent.product(shape[:cut]), extent.product(shape[cut:])))


def _squeeze(call: Call) -> Fact:
    """Drop the axes given, or all of extent 1."""
    shape = call.shape(0)
    if shape is None:
        return Fact(call.dtype(0))
    if call.ints("axes") is None and not call.has(1):
        if any(not isinstance(size, int) for size in shape):
            call.stop("which axes have extent 1 is not known")
            return Fact(call.dtype(0))
        return _moved(call, tuple(size for size in shape if size != 1))
    axes = call.axes(len(shape))
    if axes is None:
        call.stop("its axes are computed from data")
        return Fact(call.dtype(0))
    for axis in axes:
        if isinstance(shape[axis], int) and shape[axis] != 1:
            raise Contradiction(f"axis {axis} of extent {shape[axis]} cannot be squeezed")
    return _moved(call, tuple(size for axis, size in enumerate(shape) if axis not in axes))


def _unsqueeze(call: Call) -> Fact:
    """Put axes of extent 1 where ``axes`` says, counted in the result."""
    shape = call.shape(0)
    given = call.ints("axes")
    count = call.shape(1)
    if given is not None:
        rank = None if shape is None else len(shape) + len(given)
    else:
        added = count[0] if count else 1
        rank = len(shape) + added if shape is not None and isinstance(added, int) else None
    if shape is None or rank is None:
        return Fact(call.dtype(0))
    axes = call.axes(rank)
    if axes is None:
        call.stop("its axes are computed from data")
        return Fact(call.dtype(0), (None,) * rank)
    if len(set(axes)) != rank - len(shape):
        raise Contradiction(f"its axes {list(axes)} are not different")
    sizes = iter(shape)
    return _moved(call, tuple(1 if axis in axes else next(sizes) for axis in range(rank)))


def _transpose(call: Call) -> Fact:
    """Reorder the axes by ``perm``, backwards by default."""
    fact = call.fact(0)
    shape = fact.shape
    if shape is None:
        return Fact(fact.dtype)
    order = call.ints("perm") or tuple(range(len(shape)))[::-1]
    if sorted(order) != list(range(len(shape))):
        raise Contradiction(f"perm {list(order)} does not order {len(shape)} axes")
    content: Content | None = None
    numbers = followed(fact.dtype, shape)
    if numbers is not None:
        content = call.content(0)
        if content is not None:
            content = flat(array(content, numbers).transpose(order))
    return Fact(fact.dtype, tuple(shape[axis] for axis in order), content)


def _concat(call: Call) -> Fact:
    """Lay the inputs one after the other along ``axis``."""
    dtype = next((fact.dtype for fact in call.inputs if fact and fact.dtype), None)
    shapes = [call.shape(index) for index in range(len(call.inputs))]
    known = [shape for shape in shapes if shape is not None]
    if not known or len({len(shape) for shape in known}) != 1:
        if known:
            raise Contradiction("its inputs differ in rank")
        return Fact(dtype)
    rank = len(known[0])
    axis = normalize(call.integer("axis", 1), rank)
    shape: list[Extent] = [None] * rank
    for other in range(rank):
        for one in known:
            if other != axis:
                shape[other] = _agree(shape[other], one[other])
    if len(known) == len(shapes):
        shape[axis] = extent.total(one[axis] for one in known)
    return Fact(dtype, tuple(shape), _concat_content(call, dtype, tuple(shape), axis))


def _agree(a: Extent, b: Extent) -> Extent:
    if a is None or (isinstance(b, int) and not isinstance(a, int)):
        return b
    if isinstance(a, int) and isinstance(b, int) and a != b:
        raise Contradiction(f"its inputs have {a} and {b} along an axis they should share")
    if isinstance(a, Dim) and a.hidden and isinstance(b, Dim) and not b.hidden:
        return b
    return a


def _concat_content(call: Call, dtype: ir.DataType | None, dims: Dims, axis: int) -> Content | None:
    shape = followed(dtype, dims)
    if shape is None or len(shape) != 1:
        return None
    result: tuple[Item, ...] = ()
    for index in range(len(call.inputs)):
        part = call.content(index)
        numbers = static(call.shape(index)) or (0,)
        result += part if part is not None else (None,) * numbers[axis]
    return result if any(item is not None for item in result) else None


def _split(call: Call) -> Sequence[Fact]:
    """Cut along ``axis`` into the lengths of ``split``, or equal parts, the last one smaller."""
    fact, count = call.fact(0), len(call.node.outputs)
    if fact.shape is None:
        return [Fact(fact.dtype)] * count
    axis = normalize(call.integer("axis", 0), len(fact.shape))
    sizes = _split_sizes(call, fact.shape[axis], count)
    facts = [
        Fact(fact.dtype, (*fact.shape[:axis], size, *fact.shape[axis + 1 :])) for size in sizes
    ]
    content = call.content(0) if followed(fact.dtype, fact.shape) and len(fact.shape) == 1 else None
    numbers = static(sizes)
    if content is None or numbers is None:
        return facts
    starts = [sum(numbers[:index]) for index in range(count)]
    return [
        part._replace(content=content[start : start + size])
        for part, start, size in zip(facts, starts, numbers, strict=True)
    ]


def _split_sizes(call: Call, size: Extent, count: int) -> Dims:
    given: Content | None = call.ints("split")
    if given is None and call.has(1):
        given = call.content(1)
        if given is None:
            call.stop("the lengths it is given are computed from data")
            return (None,) * count
    if given is not None:
        if len(given) != count:
            raise Contradiction(f"it has {count} outputs for {len(given)} lengths")
        if isinstance(size, int) and all(type(item) is int for item in given):
            lengths = [item for item in given if isinstance(item, int)]
            if sum(lengths) != size:
                raise Contradiction(f"lengths {lengths} do not add up to {size}")
        return as_extents(given)
    exact = extent.exactly(size, count)
    if exact is not None:
        return (exact,) * count
    part = extent.over_up(size, count)
    return (*(part,) * (count - 1), extent.minus(size, extent.times(part, count - 1)))


def _depth_to_space(call: Call) -> Fact:
    """``[n, c, h, w]`` becomes ``[n, c / b^2, h b, w b]`` for blocks of b."""
    shape = call.shape_of_rank(0, 4)
    block = call.integer("blocksize", 1)
    if shape is None:
        return Fact(call.dtype(0), (None,) * 4)
    n, c, h, w = shape
    sizes = (n, extent.over(c, block * block), extent.times(h, block), extent.times(w, block))
    return Fact(call.dtype(0), sizes)


def _space_to_depth(call: Call) -> Fact:
    """``[n, c, h, w]`` becomes ``[n, c b^2, h / b, w / b]`` for blocks of b."""
    shape = call.shape_of_rank(0, 4)
    block = call.integer("blocksize", 1)
    if shape is None:
        return Fact(call.dtype(0), (None,) * 4)
    n, c, h, w = shape
    sizes = (n, extent.times(c, block * block), extent.over(h, block), extent.over(w, block))
    return Fact(call.dtype(0), sizes)


def _shape(call: Call) -> Fact:
    """Give the extents from ``start`` to ``end`` as content."""
    shape = call.shape(0)
    if shape is None:
        return Fact(ir.DataType.INT64, (None,))
    start, end = call.integer("start", 0), call.integer("end", len(shape))
    part = shape[slice(*(_clamp(edge, len(shape)) for edge in (start, end)))]
    return Fact(ir.DataType.INT64, (len(part),), part)


def _clamp(edge: int, rank: int) -> int:
    return min(max(edge + rank if edge < 0 else edge, 0), rank)


def _size(call: Call) -> Fact:
    """Give the number of elements as content."""
    shape = call.shape(0)
    count = None if shape is None else extent.product(shape)
    return Fact(ir.DataType.INT64, (), None if count is None else (count,))


def _expand(call: Call) -> Fact:
    """Broadcast to a shape that is given as a tensor."""
    fact = call.fact(0)
    wanted = call.content(1)
    if wanted is None:
        call.stop("the shape it expands to is computed from data")
        axes = unknown_axes(call, 1)
        rank = None if axes is None or fact.shape is None else max(len(axes), len(fact.shape))
        return Fact(fact.dtype, None if rank is None else (None,) * rank)
    dims = broadcast(fact.shape, as_extents(wanted))
    if dims is not None and None in dims:
        call.stop("extents of the shape it expands to are computed from data")
    shape = followed(fact.dtype, dims)
    own = call.content(0) if shape is not None else None
    if shape is None or own is None:
        return Fact(fact.dtype, dims)
    spread = stretched(own, fact.shape, shape)
    return Fact(fact.dtype, dims, spread)


def _tile(call: Call) -> Fact:
    """Repeat along each axis so many times."""
    shape, repeats = call.shape(0), call.content(1)
    if shape is None or repeats is None:
        if shape is not None:
            call.stop("how often it repeats is computed from data")
        axes = unknown_axes(call, 1) if shape is None else (None,) * len(shape)
        return Fact(call.dtype(0), axes)
    if len(repeats) != len(shape):
        raise Contradiction(f"it has {len(repeats)} repeats for {len(shape)} axes")
    dims = tuple(map(extent.times, shape, as_extents(repeats)))
    content = call.content(0) if followed(call.dtype(0), dims) and len(shape) == 1 else None
    if content is not None and isinstance(repeats[0], int):
        return Fact(call.dtype(0), dims, content * repeats[0])
    return Fact(call.dtype(0), dims)


ROWS: dict[str, Row] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Shape": _shape,
    "Size": _size,
    "Expand": _expand,
    "Tile": _tile,
}
