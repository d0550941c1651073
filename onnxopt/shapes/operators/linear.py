"""Matrix products: MatMul, Gemm, Einsum and their integer forms."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt.shapes.call import Call, Row
from onnxopt.shapes.extent import Dims, Extent
from onnxopt.shapes.fact import Contradiction, Fact, broadcast, same


def multiply(a: Dims | None, b: Dims | None) -> Dims | None:
    """Return the shape of numpy's matmul: ``[.., m, k]`` by ``[.., k, n]`` is ``[.., m, n]``."""
    if a is None or b is None:
        return None
    if not a or not b:
        raise Contradiction("a scalar cannot be multiplied as a matrix")
    left = (1, *a) if len(a) == 1 else a
    right = (*b, 1) if len(b) == 1 else b
    if isinstance(left[-1], int) and isinstance(right[-2], int) and left[-1] != right[-2]:
        raise Contradiction(f"{left[-1]} columns meet {right[-2]} rows")
    lead = broadcast(left[:-2], right[:-2]) or ()
    rows = () if len(a) == 1 else (left[-2],)
    columns = () if len(b) == 1 else (right[-1],)
    return lead + rows + columns


def _matmul(call: Call) -> Fact:
    return Fact(call.dtype(0) or call.dtype(1), multiply(call.shape(0), call.shape(1)))


def _matmul_integer(call: Call) -> Fact:
    return Fact(ir.DataType.INT32, multiply(call.shape(0), call.shape(1)))


def _qlinear_matmul(call: Call) -> Fact:
    return Fact(call.dtype(7), multiply(call.shape(0), call.shape(3)))


def gemm_shape(call: Call, b_index: int = 1) -> Dims:
    """``[m, k]`` by ``[k, n]``, either one transposed on request, is ``[m, n]``."""
    a, b = call.shape_of_rank(0, 2), call.shape_of_rank(b_index, 2)
    a, b = a or (None, None), b or (None, None)
    rows, depth = a[::-1] if call.integer("transA", 0) else a
    height, columns = b[::-1] if call.integer("transB", 0) else b
    same(depth, height)
    return (rows, columns)


def _gemm(call: Call) -> Fact:
    return Fact(call.dtype(0) or call.dtype(1), gemm_shape(call))


def terms(call: Call) -> tuple[list[str], str]:
    """Take an Einsum's equation apart: the letters of each input, and those of the output."""
    equation = call.string("equation", "").replace(" ", "")
    inputs, arrow, output = equation.partition("->")
    if not arrow:
        named = [letter for letter in inputs if letter.isalpha()]
        once = sorted(letter for letter in set(named) if named.count(letter) == 1)
        output = ("..." if "..." in inputs else "") + "".join(once)
    return inputs.split(","), output


def _einsum(call: Call) -> Fact:
    """Each letter of the output has the extent it has in the inputs."""
    names, output = terms(call)
    shapes = [call.shape(index) for index in range(len(call.inputs))]
    if len(names) != len(shapes):
        raise Contradiction(f"equation '{','.join(names)}' is not for {len(shapes)} inputs")
    extents: dict[str, Extent] = {}
    middle: Dims | None = ()
    for name, shape in zip(names, shapes, strict=True):
        middle = broadcast(middle, letters(name, shape, extents))
    if "..." in output and middle is None:
        return Fact(call.dtype(0))
    head, _, tail = output.partition("...")
    between = (middle or ()) if "..." in output else ()
    dims = tuple(extents.get(x) for x in head) + between + tuple(extents.get(x) for x in tail)
    return Fact(call.dtype(0), dims)


def letters(name: str, shape: Dims | None, extents: dict[str, Extent]) -> Dims | None:
    """Note the extents of a term's letters; return those that its dots stand for."""
    head, dots, tail = name.partition("...")
    if shape is None:
        return None if dots else ()
    if len(shape) < len(head + tail) or (not dots and len(shape) != len(head)):
        raise Contradiction(f"term '{name}' is not for {len(shape)} axes")
    cut = len(shape) - len(tail)
    for letter, size in [*zip(head, shape, strict=False), *zip(tail, shape[cut:], strict=True)]:
        known = extents.get(letter)
        if letter not in extents or known == 1:
            extents[letter] = size
        elif size != 1:
            extents[letter] = same(known, size)
    return shape[len(head) : cut]


def _det(call: Call) -> Fact:
    shape = call.shape(0)
    return Fact(call.dtype(0), None if shape is None else shape[:-2])


ROWS: dict[str, Row] = {
    "MatMul": _matmul,
    "MatMulInteger": _matmul_integer,
    "QLinearMatMul": _qlinear_matmul,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "Det": _det,
}
