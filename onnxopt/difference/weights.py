"""Do two weights hold the same bytes, and if not, how far are they apart."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from onnxopt.comparison.energy import Energy, continuous
from onnxopt.io.storage import FileTensor, InlineTensor

_PIECE = 1 << 22
"""Elements that are looked at at one time."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightChange:
    """A constant that is not what it was."""

    before: str
    """Type and shape, ``float32[64, 3, 3, 3]``."""
    after: str
    sqnr: float | None = None
    """In dB, of floating-point weights of one shape."""
    largest: float | None = None
    """The largest difference of numbers of one shape."""
    differing: int | None = None
    """Elements that differ."""
    elements: int | None = None
    contents: tuple[str, str] | None = None
    """Both, where they are short."""

    def __str__(self) -> str:
        if self.contents is not None:
            return f"{self.contents[0]} -> {self.contents[1]}"
        what = self.before if self.before == self.after else f"{self.before} -> {self.after}"
        if self.differing is None:
            return what
        parts = [f"{self.differing:,} of {self.elements:,} elements differ"]
        if self.largest is not None and math.isfinite(self.largest):
            parts.append(f"by up to {self.largest:.3g}")
        if self.sqnr is not None and math.isfinite(self.sqnr):
            parts.append(f"SQNR {self.sqnr:.1f} dB")
        return f"{what}: {', '.join(parts)}"


def weight_change(one: ir.TensorProtocol, other: ir.TensorProtocol) -> WeightChange | None:
    """Compare two constants; None where type, shape and bytes are the same.

    Large ones are mapped and read in pieces, and no page of them is kept.
    """
    if one is other:
        return None
    before, after = described(one), described(other)
    short = _short(one), _short(other)
    if one.shape != other.shape:
        contents = (short[0], short[1]) if short[0] and short[1] else None
        return WeightChange(before=before, after=after, contents=contents)
    counted = _Counted()
    for mine, theirs in _pieces(one, other):
        counted.add(mine, theirs)
    if not counted.differing and before == after:
        return None
    return WeightChange(
        before=before,
        after=after,
        sqnr=counted.energy.sqnr if counted.energy.elements else None,
        largest=counted.largest,
        differing=counted.differing,
        elements=math.prod(one.shape.numpy()),
        contents=(short[0], short[1]) if short[0] and short[1] and before == after else None,
    )


def described(held: ir.TensorProtocol) -> str:
    """Return type and shape, ``float32[64, 3, 3, 3]``; the number itself where it is one."""
    return f"{held.dtype.name.lower()}{list(held.shape.numpy())}"


def _short(held: ir.TensorProtocol) -> str:
    """Return the contents of up to eight elements, nothing of more."""
    if math.prod(held.shape.numpy()) > 8:
        return ""
    array = held.numpy()
    return str(array.tolist()) if array.dtype.kind in "biufO" else str(array.astype(float).tolist())


def _pieces(
    one: ir.TensorProtocol, other: ir.TensorProtocol
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    mine, theirs = one.numpy().reshape(-1), other.numpy().reshape(-1)
    for start in range(0, mine.size, _PIECE):
        yield mine[start : start + _PIECE], theirs[start : start + _PIECE]
    for held in (one, other):
        if isinstance(held, FileTensor | InlineTensor):
            held.release()


class _Counted:
    """Sums over pieces."""

    def __init__(self) -> None:
        self.energy = Energy()
        self.differing = 0
        self.largest: float | None = None

    def add(self, mine: np.ndarray, theirs: np.ndarray) -> None:
        if mine.dtype == theirs.dtype and mine.dtype.kind != "O":
            if np.array_equal(_bits(mine), _bits(theirs)):
                if continuous(mine):
                    self.energy.add(mine, mine)
                return
            self.differing += int(np.count_nonzero(_bits(mine) != _bits(theirs)))
        else:
            self.differing += int(np.count_nonzero(mine != theirs))
        if continuous(mine) and continuous(theirs):
            self.energy.add(mine, theirs)
        if "O" not in (mine.dtype.kind, theirs.dtype.kind) and mine.dtype.kind != "c":
            with np.errstate(invalid="ignore"):
                apart = np.abs(mine.astype(np.float64) - theirs.astype(np.float64))
            self.largest = max(self.largest or 0.0, float(np.nanmax(apart, initial=0.0)))


def _bits(array: np.ndarray) -> np.ndarray:
    """Return the bytes of each element as one integer, in which NaN equals NaN."""
    if array.dtype.kind in "biu" or array.dtype.itemsize not in (1, 2, 4, 8):
        return array
    return array.view(f"u{array.dtype.itemsize}")
