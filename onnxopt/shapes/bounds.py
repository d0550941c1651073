"""How small or large a dimension can be, and the extremes of several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from onnxopt.shapes.dim import Atom, Dim, Kind, Monomial, alone, polynomial, terms_of, to_text

if TYPE_CHECKING:
    from onnxopt.shapes.dim import Size


def lower(a: Size) -> int | None:
    """Return an integer that ``a`` is never below, None where none is found."""
    if isinstance(a, int):
        return a
    direct = _bound(a, low=True)
    return direct if direct is not None else _bound_through_floor(a)


def _bound_through_floor(a: Dim) -> int | None:
    """Bound from below a sum in which a quotient occurs whose divisor n divides its factor c.

    ``r - c floor(p / n)`` is at least ``r - (c / n) p``, and ``r + c floor(p / n)`` is at least
    ``r + (c / n) (p - n + 1)``.
    """
    for monomial, factor in a.terms:
        if len(monomial) != 1 or monomial[0][1] != 1 or monomial[0][0].kind != "floor":
            continue
        above, n = monomial[0][0].args
        if isinstance(n, int) and factor % n == 0:
            rest = a - polynomial([(monomial, factor)])
            relaxed = rest + factor // n * (above if factor < 0 else above - n + 1)
            return relaxed if isinstance(relaxed, int) else lower(relaxed)
    return None


def at_least(a: Size, b: Size) -> bool:
    """Return whether ``a >= b`` holds whatever the extents are; False also when not decided."""
    low = lower(a - b)
    return low is not None and low >= 0


def maximum(*sizes: Size) -> Size:
    """Return the largest; those that another provably reaches are left out."""
    return _extreme("max", sizes)


def minimum(*sizes: Size) -> Size:
    """Return the smallest; those that provably reach another are left out."""
    return _extreme("min", sizes)


def _extreme(kind: Literal["max", "min"], sizes: Iterable[Size]) -> Size:
    pool: list[Size] = []
    for size in sizes:
        atom = size.atom() if isinstance(size, Dim) else None
        pool.extend(atom.args if atom is not None and atom.kind == kind else (size,))
    kept: list[Size] = []
    # in an order of their own: of sizes that are provably equal, the same one stays in any order
    for size in sorted(
        dict.fromkeys(pool), key=lambda each: (isinstance(each, Dim), to_text(each))
    ):
        if any(_beats(kind, other, size) for other in kept):
            continue
        kept = [other for other in kept if not _beats(kind, size, other)] + [size]
    if len(kept) == 1:
        return kept[0]
    kept.sort(key=to_text)
    return alone(Atom(kind, f"{kind}({', '.join(map(to_text, kept))})", tuple(kept)))


def _beats(kind: Kind, a: Size, b: Size) -> bool:
    return at_least(a, b) if kind == "max" else at_least(b, a)


def _bound(a: Size, low: bool) -> int | None:
    total = 0
    for monomial, factor in terms_of(a):
        edge = _monomial_bound(monomial, (factor > 0) == low)
        if edge is None:
            return None
        total += factor * edge
    return total


def _monomial_bound(monomial: Monomial, low: bool) -> int | None:
    if len(monomial) == 1 and monomial[0][1] == 1:
        return _atom_bound(monomial[0][0], low)
    edge = 1
    for atom, power in monomial:
        least = _atom_bound(atom, True)
        if least is None or least < 0:
            return None
        bound = least if low else _atom_bound(atom, False)
        if bound is None:
            return None
        edge *= bound**power
    return edge


def _atom_bound(atom: Atom, low: bool) -> int | None:
    if not atom.args:
        return 0 if low else None
    if low not in atom.bounds:
        atom.bounds[low] = _operation_bound(atom, low)
    return atom.bounds[low]


def _operation_bound(atom: Atom, low: bool) -> int | None:
    if atom.kind == "floor":
        above, below = atom.args
        edge = lower(above) if low else _bound(above, False)
        if isinstance(below, int):
            return None if edge is None else edge // below
        return 0 if low and edge is not None and edge >= 0 else None
    bounds = [lower(arg) if low else _bound(arg, False) for arg in atom.args]
    known = [edge for edge in bounds if edge is not None]
    if (atom.kind == "max") == low:
        return (max if low else min)(known, default=None)
    return (min if low else max)(known) if len(known) == len(bounds) else None
