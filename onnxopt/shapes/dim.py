"""Symbolic dimensions: integer polynomials over named extents, in a form where equal means equal.

Every symbol stands for the extent of some axis, so it is an integer that is zero or more. Nothing
else is assumed of it: a cache of past tokens may well be empty, so ``s`` may be 0 and ``s - 1`` may
be negative.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

if TYPE_CHECKING:
    Size: TypeAlias = "int | Dim"

Kind: TypeAlias = Literal["symbol", "raw", "hidden", "floor", "max", "min"]


class Atom:
    """What a polynomial is made of: a symbol, or an operation that polynomials do not have.

    Kinds: ``symbol`` is a name of the model's that reads as an identifier, ``raw`` any other name,
    ``hidden`` an axis without a name (it holds the tensor that has the axis), ``floor`` a quotient
    rounded down, ``max`` and ``min``. Two atoms are equal when their keys are.
    """

    __slots__ = ("args", "bounds", "hidden", "key", "kind", "owner")

    def __init__(
        self, kind: Kind, key: str, args: tuple[Size, ...] = (), owner: object = None
    ) -> None:
        self.kind = kind
        self.key = key
        self.args = args
        self.owner = owner
        self.bounds: dict[bool, int | None] = {}
        self.hidden = kind == "hidden" or any(
            isinstance(arg, Dim) and (arg.hidden or not arg.writable) for arg in args
        )

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Atom) and self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def __lt__(self, other: Atom) -> bool:
        return self.key < other.key

    def __repr__(self) -> str:
        return self.key


Monomial: TypeAlias = tuple[tuple[Atom, int], ...]
"""Atoms with their powers, in the order of their keys."""


class Dim:
    """An integer polynomial that is not a constant; arithmetic returns an int where it is one.

    ``terms`` is sorted and holds no zero, so two equal polynomials are equal objects.
    """

    __slots__ = ("_hash", "_text", "hidden", "terms", "writable")
    hidden: bool
    """An axis without a name occurs."""
    writable: bool
    """It can be written such that reading it gives it back."""

    def __init__(self, terms: tuple[tuple[Monomial, int], ...]) -> None:
        self.terms = terms
        self._hash = hash(terms)
        self._text = ""
        atoms = [atom for monomial, _ in terms for atom, _ in monomial]
        self.hidden = any(atom.hidden for atom in atoms)
        alone = len(terms) == 1 and terms[0][1] == 1 and len(atoms) == 1 and terms[0][0][0][1] == 1
        self.writable = not self.hidden and (alone or all(atom.kind != "raw" for atom in atoms))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Dim) and self._hash == other._hash and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __add__(self, other: Size) -> Size:
        return polynomial([*self.terms, *terms_of(other)])

    __radd__ = __add__

    def __neg__(self) -> Size:
        return polynomial([(monomial, -factor) for monomial, factor in self.terms])

    def __sub__(self, other: Size) -> Size:
        return self + -other

    def __rsub__(self, other: int) -> Size:
        return -self + other

    def __mul__(self, other: Size) -> Size:
        pairs = ((left, right) for left in self.terms for right in terms_of(other))
        return polynomial((_product(a, b), m * n) for (a, m), (b, n) in pairs)

    __rmul__ = __mul__

    def __floordiv__(self, other: Size) -> Size:
        return floor_div(self, other)

    def __rfloordiv__(self, other: int) -> Size:
        return floor_div(other, self)

    def __mod__(self, other: Size) -> Size:
        return self - floor_div(self, other) * other

    def __rmod__(self, other: int) -> Size:
        return other - floor_div(other, self) * self

    def __str__(self) -> str:
        self._text = self._text or _written(self)
        return self._text

    def __repr__(self) -> str:
        return f"Dim({to_text(self)})"

    def atom(self) -> Atom | None:
        """Return the one atom that this is, None for any other polynomial."""
        return self.terms[0][0][0][0] if _is_atom(self) else None

    def symbols(self) -> frozenset[str]:
        """Return the names of the model's that occur, inside of quotients too."""
        return frozenset(atom.key for atom in _leaves(self) if atom.kind != "hidden")

    def evaluate(self, extents: dict[str, int]) -> int:
        """Return the value at the given extents by name; KeyError where one is missing."""
        total = 0
        for monomial, factor in self.terms:
            for atom, power in monomial:
                factor *= _evaluate_atom(atom, extents) ** power
            total += factor
        return total


def symbol(name: str) -> Dim:
    """Return the extent with an identifier for a name."""
    return alone(Atom("symbol", name))


def raw(name: str) -> Dim:
    """Return the extent whose name in the model is some other text, which is kept as it is."""
    return alone(Atom("raw", name))


def hidden(owner: object, name: str, axis: int) -> Dim:
    """Return the extent of an axis that has no name: equal to itself, and never written out."""
    return alone(Atom("hidden", f"?{name}.{axis}#{id(owner):x}", owner=owner))


def floor_div(a: Size, b: Size) -> Size:
    """Return ``floor(a / b)``; what divides evenly, term by term, leaves the quotient.

    A symbolic divisor is taken to be positive, since the quotient has no value otherwise.
    ZeroDivisionError where ``b`` is 0.
    """
    if isinstance(b, int):
        return _floor_div_int(a, b)
    quotient = exact_div(a, b)
    return quotient if quotient is not None else _quotient(a, b)


def _floor_div_int(a: Size, b: int) -> Size:
    if isinstance(a, int):
        return a // b
    if b < 0:
        a, b = -a, -b
    if b == 1 or isinstance(a, int):
        return a if b == 1 else cast(int, a) // b
    whole = polynomial([(monomial, factor // b) for monomial, factor in a.terms])
    rest = polynomial([(monomial, factor % b) for monomial, factor in a.terms])
    if isinstance(rest, int):
        return whole
    inner = _lone_floor(rest)
    if inner is not None:  # floor((floor(p / n) + c) / b) = floor((p + c n) / (n b))
        numerator, divisor, constant = inner
        return whole + _floor_div_int(numerator + constant * divisor, divisor * b)
    return whole + _quotient(rest, b)


def _lone_floor(a: Dim) -> tuple[Size, int, int] | None:
    """Take ``floor(p / n) + c`` apart into ``(p, n, c)`` for integers n and c."""
    monomial, factor = a.terms[0]
    if len(a.terms) > 2 or factor != 1 or len(monomial) != 1 or monomial[0][1] != 1:
        return None
    atom = monomial[0][0]
    if atom.kind != "floor" or not isinstance(atom.args[1], int):
        return None
    if len(a.terms) == 2 and a.terms[1][0]:
        return None
    return atom.args[0], atom.args[1], a.terms[1][1] if len(a.terms) == 2 else 0


def _quotient(a: Size, b: Size) -> Size:
    if a == 0:
        return 0
    below = to_text(b) if isinstance(b, int) or _is_atom(b) else f"({to_text(b)})"
    above = to_text(a) if isinstance(a, int) or len(a.terms) == 1 else f"({to_text(a)})"
    return alone(Atom("floor", f"floor({above}/{below})", (a, b)))


def exact_div(a: Size, b: Size) -> Size | None:
    """Return the polynomial q with ``q * b == a``, None where there is none (or ``b`` is 0)."""
    if isinstance(b, int):
        if b == 0 or any(factor % b for _, factor in terms_of(a)):
            return None
        return polynomial([(monomial, factor // b) for monomial, factor in terms_of(a)])
    rest, quotient = a, cast("Size", 0)
    atoms = sorted({atom for p in (a, b) for monomial, _ in terms_of(p) for atom, _ in monomial})
    lead_b, factor_b = _leading(b, atoms)
    for _ in range(64):
        if rest == 0:
            return quotient
        lead, factor = _leading(rest, atoms)
        powers = [p - q for p, q in zip(lead, lead_b, strict=True)]
        if factor % factor_b or min(powers) < 0:
            return None
        monomial = tuple((atom, p) for atom, p in zip(atoms, powers, strict=True) if p)
        step = polynomial([(monomial, factor // factor_b)])
        quotient, rest = quotient + step, rest - step * b
    return None


def _leading(a: Size, atoms: list[Atom]) -> tuple[tuple[int, ...], int]:
    """Return the powers and the factor of the term that comes last in lexicographic order."""
    return max(
        (tuple(dict(monomial).get(atom, 0) for atom in atoms), factor)
        for monomial, factor in terms_of(a)
    )


def to_text(a: Size) -> str:
    """Write a size as a person would: ``2*seq + 1``, ``floor(h/2)``, ``max(0, s - 1)``."""
    return str(a)


def _written(a: Dim) -> str:
    parts = []
    for monomial, factor in sorted(a.terms, key=lambda term: term[1] < 0):
        factors = [] if abs(factor) == 1 and monomial else [str(abs(factor))]
        factors += [atom.key + (f"**{power}" if power > 1 else "") for atom, power in monomial]
        parts.append(("- " if factor < 0 else "+ ") + "*".join(factors))
    text = " ".join(parts)
    return text[2:] if text[0] == "+" else "-" + text[2:]


def weight(a: Size) -> int:
    """Return how large a size is to handle: characters of its atoms, about."""
    if isinstance(a, int):
        return a.bit_length() // 8
    return sum(
        2 + factor.bit_length() // 8 + sum(len(atom.key) * power for atom, power in monomial)
        for monomial, factor in a.terms
    )


def _evaluate_atom(atom: Atom, extents: dict[str, int]) -> int:
    args = [arg if isinstance(arg, int) else arg.evaluate(extents) for arg in atom.args]
    match atom.kind:
        case "floor":
            return args[0] // args[1]
        case "max":
            return max(args)
        case "min":
            return min(args)
        case _:
            return extents[atom.key]


def _leaves(a: Size) -> Iterable[Atom]:
    for monomial, _ in terms_of(a):
        for atom, _ in monomial:
            if not atom.args:
                yield atom
            for arg in atom.args:
                yield from _leaves(arg)


def terms_of(a: Size) -> tuple[tuple[Monomial, int], ...]:
    """Return monomials with their factors; a constant has the empty monomial."""
    return a.terms if isinstance(a, Dim) else (((), a),)


def alone(atom: Atom) -> Dim:
    """Return an atom as a polynomial."""
    return Dim(((((atom, 1),), 1),))


def _is_atom(a: Dim) -> bool:
    return len(a.terms) == 1 and a.terms[0][1] == 1 and sum(p for _, p in a.terms[0][0]) == 1


def _product(left: Monomial, right: Monomial) -> Monomial:
    if not left or not right:
        return left or right
    powers = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda pair: pair[0].key))


def polynomial(terms: Iterable[tuple[Monomial, int]]) -> Size:
    """Add up terms; return an int where only a constant is left."""
    total: dict[Monomial, int] = {}
    for monomial, factor in terms:
        total[monomial] = total.get(monomial, 0) + factor
    left = [(monomial, factor) for monomial, factor in total.items() if factor]
    if not left:
        return 0
    if len(left) == 1 and not left[0][0]:
        return left[0][1]
    left.sort(key=_rank)
    return Dim(tuple(left))


def _rank(term: tuple[Monomial, int]) -> tuple[int, list[tuple[str, int]]]:
    return -sum(power for _, power in term[0]), [(atom.key, power) for atom, power in term[0]]
