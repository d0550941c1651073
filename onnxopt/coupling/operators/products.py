"""Matrix products."""

from __future__ import annotations

from collections.abc import Sequence

from onnxopt.coupling.labels import Axes, Axis
from onnxopt.coupling.operators.elementwise import over
from onnxopt.coupling.place import ONE, Place, Role, Row, lost


def _matmul(place: Place) -> Sequence[Axes | None]:
    """``[.., m, k] [.., k, n]``: the axes k meet, those before the last two broadcast."""
    a, b = place.labelled(0), place.labelled(1)
    if a is None or b is None:
        return [over(place, (0, 1))] if a is None and b is None else lost(place, a, b)
    a = place.kernel(0, _roles(len(a), -1, -2)) or a
    b = place.kernel(1, _roles(len(b), -2, -1)) or b
    place.meet(a[-1], b[-2] if len(b) > 1 else b[-1])
    batch = _batch(place, a[:-2], b[:-2])
    return [(*batch, *a[-2:-1], *(b[-1:] if len(b) > 1 else ()))]


def _roles(rank: int, reads: int, makes: int) -> dict[int, Role]:
    roles = {rank + reads: Role.READS, rank + makes: Role.PRODUCES}
    return {rank - 1: Role.READS} if rank == 1 else roles


def _batch(place: Place, a: Axes, b: Axes) -> list[Axis]:
    one, other = (place.shape(0) or ())[: len(a)], (place.shape(1) or ())[: len(b)]
    found: list[Axis] = []
    for back in range(-max(len(a), len(b)), 0):
        here = [
            axes[back]
            for axes, shape in ((a, one), (b, other))
            if len(axes) >= -back and shape[back] != 1
        ]
        met = here[0] if here else ONE
        found.append(place.meet(met, here[1]) if len(here) > 1 else met)
    return found


def _gemm(place: Place) -> Sequence[Axes | None]:
    """``a [m, k] b [k, n] + c``, each of a and b transposed or not; c broadcasts."""
    flip_a, flip_b = place.integer("transA", 0), place.integer("transB", 0)
    reads, makes = (1, 0) if flip_b else (0, 1)
    a = place.labelled(0)
    b = place.kernel(1, {reads: Role.READS, makes: Role.PRODUCES})
    if a is None or b is None:
        return lost(place, a, b)
    rows, inner = (a[1], a[0]) if flip_a else (a[0], a[1])
    place.meet(inner, b[reads])
    _term(place, 2, (rows, b[makes]))
    return [(rows, b[makes])]


def _term(place: Place, index: int, out: Axes) -> None:
    """Let a term that broadcasts follow the output; its last axis is a bias."""
    axes, shape = place.labelled(index), place.shape(index)
    if not place.has(index):
        return
    if axes is None or shape is None:
        place.pin_all(out, f"{place.name} has an operand of unknown rank")
        return
    for back in range(-len(axes), 0):
        if shape[back] != 1:
            place.meet(axes[back], out[back])
    if axes:
        place.mark(index, {len(axes) - 1: Role.PRODUCES})


def _fused_matmul(place: Place) -> Sequence[Axes | None]:
    """As MatMul with the last two axes of each side transposed or not."""
    a, b = place.labelled(0), place.labelled(1)
    flips = [place.integer(name, 0) for name in ("transA", "transB")]
    batch = any(place.integer(name, 0) for name in ("transBatchA", "transBatchB"))
    if a is None or b is None or min(len(a), len(b)) < 2 or batch:
        return lost(place, a, b)
    roles = [(-2, -1) if flips[0] else (-1, -2), (-1, -2) if flips[1] else (-2, -1)]
    a = place.kernel(0, _roles(len(a), *roles[0])) or a
    b = place.kernel(1, _roles(len(b), *roles[1])) or b
    place.meet(a[roles[0][0]], b[roles[1][0]])
    return [(*_batch(place, a[:-2], b[:-2]), a[roles[0][1]], b[roles[1][1]])]


def _einsum(place: Place) -> Sequence[Axes | None]:
    """Axes with one letter meet; those of the output are the ones with its letters."""
    text = place.string("equation", "").replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    sides = [place.labelled(index) for index in range(len(terms))]
    if "." in text or not arrow or any(axes is None for axes in sides):
        return lost(place, *sides)
    met: dict[str, Axis] = {}
    for index, (term, axes) in enumerate(zip(terms, sides, strict=True)):
        for letter, axis in zip(term, axes or (), strict=True):
            met[letter] = place.meet(met[letter], axis) if letter in met else axis
        place.kernel(index, _einsum_roles(terms, index, right))
    return [tuple(met[letter] for letter in right)]


def _einsum_roles(terms: list[str], index: int, right: str) -> dict[int, Role]:
    """Return what the axes of one operand do: summed over, made by it alone, or neither."""
    others = "".join(terms[:index] + terms[index + 1 :])
    roles = {}
    for axis, letter in enumerate(terms[index]):
        if letter not in right:
            roles[axis] = Role.READS
        elif letter not in others:
            roles[axis] = Role.PRODUCES
    return roles


ROWS: dict[str, Row] = {"Einsum": _einsum, "Gemm": _gemm, "MatMul": _matmul}
MICROSOFT: dict[str, Row] = {"FusedMatMul": _fused_matmul}
