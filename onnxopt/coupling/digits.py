"""The axes before and after a reshape as digits of one number, in which both can be written."""

from __future__ import annotations

from typing import NamedTuple

from onnxopt.shapes.extent import Dims, Extent, exactly


class Digit(NamedTuple):
    """A factor of an axis before and of one after; None on a side where it cannot be told."""

    before: int | None
    after: int | None
    extent: Extent


def refine(before: Dims, after: Dims) -> list[Digit]:
    """Return the coarsest digits, outermost first, of which the axes on both sides are products.

    Axes of extent 1 have none. Where extents do not divide each other, and are not equal at the
    end either, the axes between are without a partner.
    """
    left = _Meeting(_axes(before), _axes(after))
    right = _Meeting(left.before[::-1], left.after[::-1])
    middle = [Digit(axis, None, size) for axis, size in right.before[::-1]]
    middle += [Digit(None, axis, size) for axis, size in right.after[::-1]]
    return [*left.digits, *middle, *right.digits[::-1]]


def _axes(dims: Dims) -> list[tuple[int, Extent]]:
    return [(axis, size) for axis, size in enumerate(dims) if size != 1]


class _Meeting:
    """What two lists of axes have in common from their start; then what is left of them."""

    def __init__(self, before: list[tuple[int, Extent]], after: list[tuple[int, Extent]]) -> None:
        self.digits: list[Digit] = []
        self.before, self.after = list(before), list(after)
        while self.before and self.after and self._step():
            pass

    def _step(self) -> bool:
        (i, a), (j, b) = self.before[0], self.after[0]
        if a is None or b is None:
            return False
        if a == b:
            self.digits.append(Digit(i, j, a))
            del self.before[0], self.after[0]
        elif (rest := _quotient(a, b)) is not None:
            self.digits.append(Digit(i, j, b))
            self.before[0] = (i, rest)
            del self.after[0]
        elif (rest := _quotient(b, a)) is not None:
            self.digits.append(Digit(i, j, a))
            self.after[0] = (j, rest)
            del self.before[0]
        else:
            return False
        return True


def _quotient(a: Extent, b: Extent) -> Extent:
    if isinstance(a, int) and isinstance(b, int):
        return a // b if b > 0 and a % b == 0 else None
    return exactly(a, b)
