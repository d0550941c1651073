"""Einsum as matrix products, sums and transpositions, which runtimes have fast kernels for."""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.ops import FLOATS
from onnxopt.rewrite import Attr, Builder, Decline, Op, PatternOps, Rule, Var


class OneOperand(Rule):
    """``ij->j`` becomes a sum over i, ``ij->ji`` a Transpose, and so on."""

    since = 13

    def pattern(self, op: PatternOps, a: Var) -> Op:
        return op.Einsum(a, equation=Attr("equation"))

    def rewrite(self, op: Builder, a: ir.Value, equation: str) -> ir.Value:
        (term,), out = _terms(equation, [a])
        _check([a], [term], out)
        kept = [letter for letter in term if letter in out]
        summed = [place for place, letter in enumerate(term) if letter not in out]
        if summed:
            a = op.ReduceSum(a, op.constant(_ints(summed)), keepdims=0)
        made = _transposed(op, a, kept, list(out))
        return op.Identity(a) if made is a and not summed else made


class TwoOperands(Rule):
    """``bhid,bhjd->bhij`` becomes ``MatMul(a, Transpose(b))``, and so on.

    Letters of both operands and the result are batch axes, letters of both that the result lacks
    are summed over, and letters of one operand are rows of a or columns of b. Several rows,
    columns or summed axes are gathered into one by Reshape. Without a sum it is a product of
    elements. Where a and b may change places, the order that transposes less is taken.
    """

    since = 13

    def pattern(self, op: PatternOps, a: Var, b: Var) -> Op:
        return op.Einsum(a, b, equation=Attr("equation"))

    def rewrite(self, op: Builder, a: ir.Value, b: ir.Value, equation: str) -> ir.Value:
        (left, right), out = _terms(equation, [a, b])
        _check([a, b], [left, right], out)
        if any(letter not in right + out for letter in left):
            raise Decline("an axis of the first operand alone is summed over")
        if any(letter not in left + out for letter in right):
            raise Decline("an axis of the second operand alone is summed over")
        summed = [letter for letter in left if letter not in out]
        if not summed:
            return _elements(op, a, left, b, right, out)
        straight = _Plan(op, a, left, b, right, out, summed)
        swapped = _Plan(op, b, right, a, left, out, summed)
        return min((straight, swapped), key=_Plan.transposes).build()


class _Plan:
    """A product of two operands, as matrices ``[batch, rows, inner] @ [batch, inner, columns]``."""

    def __init__(
        self,
        op: Builder,
        a: ir.Value,
        left: str,
        b: ir.Value,
        right: str,
        out: str,
        inner: list[str],
    ) -> None:
        self.op, self.a, self.b = op, a, b
        self.left, self.right, self.out = left, right, out
        self.inner = inner
        self.batch = [letter for letter in out if letter in left and letter in right]
        self.rows = [letter for letter in out if letter in left and letter not in right]
        self.columns = [letter for letter in out if letter in right and letter not in left]
        sizes = zip(left + right, (graph.dims(a) or ()) + (graph.dims(b) or ()), strict=True)
        self.sizes = dict(sizes)

    def transposes(self) -> int:
        """Count the transpositions of operands that vary, and of the result."""
        first = graph.tensor(self.a) is None and list(self.left) != self._first()
        second = graph.tensor(self.b) is None and list(self.right) != self._second()
        swapped = second and self._second()[-2:] == [*self.right[-2:]][::-1]
        result = list(self.out) != self._result()
        return 2 * first + 2 * second - swapped + 2 * result

    def build(self) -> ir.Value:
        """Build the product."""
        op = self.op
        a = _transposed(op, self.a, list(self.left), self._first())
        b = _transposed(op, self.b, list(self.right), self._second())
        lead = self.batch or self.rows
        if self.batch or len(self.inner) > 1:
            a = self._gather(a, [self.rows, self.inner] if self.batch else [self.inner], lead)
        b = self._gather(b, [self.inner, self.columns], self.batch)
        made = op.MatMul(a, b)
        spread = [*self.rows, *self.columns] if self.batch else self.columns
        plain = len(self.rows) == 1 and len(self.columns) == 1 if self.batch else len(spread) == 1
        if not plain:
            made = op.Reshape(made, self._shape([[letter] for letter in spread], lead))
        return _transposed(op, made, self._result(), list(self.out))

    def _first(self) -> list[str]:
        return [*self.batch, *self.rows, *self.inner]

    def _second(self) -> list[str]:
        return [*self.batch, *self.inner, *self.columns]

    def _result(self) -> list[str]:
        return [*self.batch, *self.rows, *self.columns]

    def _gather(self, value: ir.Value, groups: list[list[str]], lead: list[str]) -> ir.Value:
        """Reshape so that each group of letters is one axis."""
        if all(len(group) == 1 for group in groups):
            return value
        return self.op.Reshape(value, self._shape(groups, lead))

    def _shape(self, groups: list[list[str]], lead: list[str]) -> ir.Value:
        """Make a shape: the leading axes as they are, then the product of each group."""
        sizes = [self._size(group) for group in groups]
        if sizes.count(-1) > 1:
            raise Decline("more than one size is unknown")
        return self.op.constant(_ints([0] * len(lead) + sizes))

    def _size(self, group: list[str]) -> int:
        product = 1
        for letter in group:
            size = self.sizes[letter]
            if not isinstance(size, int):
                return -1
            product *= size
        if product == 0:
            raise Decline("an axis is empty")
        return product


def _terms(equation: str, operands: Sequence[ir.Value]) -> tuple[list[str], str]:
    """Return the letters of each operand and of the result, an ellipsis spelled out."""
    given, arrow, out = equation.replace(" ", "").partition("->")
    terms = given.split(",")
    if len(terms) != len(operands):
        raise Decline("the equation does not fit the operands")
    if not arrow:
        single = {letter for letter in given if letter.isalpha() and given.count(letter) == 1}
        out = ("..." if "..." in given else "") + "".join(sorted(single))
    spare = [letter for letter in string.ascii_letters if letter not in equation]
    named = [_spelled(term, value, spare) for term, value in zip(terms, operands, strict=True)]
    widths = [graph.rank(v) or 0 for v in operands]
    hidden = [w - len(t.replace("...", "")) for w, t in zip(widths, terms, strict=True)]
    widest = max(hidden) if "..." in given else 0
    return named, out.replace("...", "".join(spare[-widest:] if widest else []))


def _spelled(term: str, value: ir.Value, spare: list[str]) -> str:
    rank = graph.rank(value)
    hidden = -1 if rank is None else rank - len(term.replace("...", ""))
    if hidden < 0 or (hidden and "..." not in term) or hidden > len(spare):
        raise Decline("the equation does not fit the rank, or the rank is unknown")
    return term.replace("...", "".join(spare[-hidden:] if hidden else []))


def _check(operands: Sequence[ir.Value], terms: Sequence[str], out: str) -> None:
    """Decline repeated letters, and letters that may stand for different sizes."""
    if operands[0].dtype not in FLOATS:
        raise Decline("not known to be floating-point numbers")
    if any(len(set(letters)) < len(letters) for letters in (*terms, out)):
        raise Decline("a diagonal is taken")
    sizes: dict[str, int | str | None] = {}
    for term, value in zip(terms, operands, strict=True):
        for letter, size in zip(term, graph.dims(value) or (), strict=True):
            if letter in sizes and (size is None or sizes[letter] != size):
                raise Decline("an axis may be broadcast")
            sizes[letter] = size
    if not set(out) <= set(sizes):
        raise Decline("the result has a letter of its own")


def _transposed(op: Builder, value: ir.Value, order: list[str], wanted: list[str]) -> ir.Value:
    if order == wanted:
        return value
    return op.Transpose(value, perm=[order.index(letter) for letter in wanted])


def _elements(op: Builder, a: ir.Value, left: str, b: ir.Value, right: str, out: str) -> ir.Value:
    factors = [_spread(op, a, left, out), _spread(op, b, right, out)]
    if len(op.nodes) > 1:
        raise Decline("both operands would have to be laid out anew")
    return op.Mul(*factors)


def _spread(op: Builder, value: ir.Value, term: str, out: str) -> ir.Value:
    """Lay an operand's axes in the result's order, with axes of size 1 for those it lacks."""
    kept = [letter for letter in out if letter in term]
    value = _transposed(op, value, list(term), kept)
    missing = [place for place, letter in enumerate(out) if letter not in term]
    leading = len(missing) == 0 or missing == list(range(len(missing)))
    return value if leading else op.Unsqueeze(value, op.constant(_ints(missing)))


def _ints(values: Sequence[int]) -> np.ndarray:
    return np.asarray(values, np.int64)
