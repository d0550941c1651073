"""Matrix products: one multiply-accumulate for each term of each sum in the definition."""

from __future__ import annotations

from onnxopt.costs.place import Place, Row, Work, extent_at
from onnxopt.shapes.extent import Dims, Extent, exactly, minus, plus, product, times
from onnxopt.shapes.fact import Contradiction, broadcast
from onnxopt.shapes.operators.linear import letters, terms


def _depth(place: Place, index: int, transposed: int) -> Extent:
    """Return the extent that is summed over, from the left factor ``[.., m, k]``."""
    shape = place.shape(index)
    if shape is not None and transposed and len(shape) > 1:
        return shape[-2]
    return extent_at(shape, -1)


def _matmul(place: Place) -> Work:
    """``[.., m, k]`` by ``[.., k, n]``: m n k for each matrix."""
    return Work(times(place.made(), _depth(place, 0, 0)))


def _fused_matmul(place: Place) -> Work:
    """As MatMul, either factor transposed, times alpha."""
    macs = times(place.made(), _depth(place, 0, place.integer("transA", 0)))
    return Work(macs, place.made())


def _gemm(place: Place) -> Work:
    """m n k, and an addition for each output where there is a bias."""
    macs = times(place.made(), _depth(place, 0, place.integer("transA", 0)))
    return Work(macs, place.made() if place.has(2) else 0)


def _q_gemm(place: Place) -> Work:
    """m n k on integers; each output is biased and brought to its type: add, scale, round, clip."""
    macs = times(place.made(), _depth(place, 0, place.integer("transA", 0)))
    return Work(macs, times(place.made(), 4))


def _requantized(place: Place) -> Work:
    """m n k on integers; each output is scaled, rounded and clipped."""
    return Work(times(place.made(), _depth(place, 0, 0)), times(place.made(), 3))


def _dynamic(place: Place) -> Work:
    """m n k on integers; the left factor is quantized first (6 a value), outputs are scaled."""
    macs = times(place.made(), _depth(place, 0, 0))
    return Work(macs, plus(times(place.size(0), 6), place.made()))


def _to_float(place: Place) -> Work:
    """m n k on integers; each output is scaled, and biased where there is a bias."""
    ops = times(place.made(), 2 if place.has(6) else 1)
    return Work(times(place.made(), _depth(place, 0, 0)), ops)


def _n_bits(place: Place) -> Work:
    """Every row by ``[K, N]`` packed weights, each of which is unpacked once: subtract, scale."""
    depth, columns = place.integer("K", 0), place.integer("N", 0)
    return Work(times(place.size(0), columns), 2 * depth * columns)


def _einsum(place: Place) -> Work:
    """Pairs of operands from left to right; each pair costs the product of the extents in it.

    A letter is summed as soon as neither the output nor a later operand has it. An operand alone
    costs additions, one for every element.
    """
    shapes = [place.shape(index) for index in range(len(place.inputs))]
    names, output = terms(place)
    if len(names) != len(shapes):
        raise Contradiction("its equation is for another number of inputs")
    extents: dict[str, Extent] = {}
    spread: Dims | None = ()
    for name, shape in zip(names, shapes, strict=True):
        spread = broadcast(spread, letters(name, shape, extents))
    extents["."] = None if spread is None else product(spread)
    if len(names) == 1:
        return Work(0, place.size(0))
    total: Extent = 0
    held = set(names[0])
    for at, name in enumerate(names[1:], start=2):
        together = held | set(name)
        total = plus(total, product(extents.get(letter) for letter in together))
        held = together & set(output).union(*names[at:])
    return Work(total)


def _det(place: Place) -> Work:
    """LU factors of each n by n matrix: ``n (n - 1) (2 n - 1) / 6``, then n products."""
    n = extent_at(place.shape(0), -1)
    double = times(times(n, minus(n, 1)), minus(times(n, 2), 1))
    return Work(times(place.made(), exactly(double, 6)), times(place.made(), n))


def _inverse(place: Place) -> Work:
    """Gauss and Jordan: n cubed for each matrix."""
    n = extent_at(place.shape(0), -1)
    return Work(times(place.made(), n))


ROWS: dict[str, Row] = {
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "QLinearMatMul": _requantized,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "Det": _det,
}

MICROSOFT: dict[str, Row] = {
    "FusedMatMul": _fused_matmul,
    "FusedGemm": _gemm,
    "QGemm": _q_gemm,
    "DynamicQuantizeMatMul": _dynamic,
    "MatMulIntegerToFloat": _to_float,
    "MatMulNBits": _n_bits,
    "MatMulBnb4": _n_bits,
    "Inverse": _inverse,
}
