"""How far one tensor is from what it should be, over a stream of samples in constant memory."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from onnxopt.comparison.energy import Energy, continuous
from onnxopt.elements import Elements, wide


@dataclasses.dataclass(frozen=True, kw_only=True)
class Worst:
    """The element that is furthest off."""

    value: float
    """The error."""
    sample: int
    """Which sample, from 0."""
    index: tuple[int, ...]
    """Where in the tensor."""
    expected: float
    actual: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
    """How often the largest element is at the same place."""

    axis: int
    """The axis along which the largest is looked for, negative ones from the end."""
    size: int
    """The length of that axis."""
    equal: int
    total: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.equal / self.total if self.total else math.nan


@dataclasses.dataclass
class Errors:
    """Errors of one tensor; add pairs of arrays, then read.

    Relative errors are shares of the element's scale, as ``onnxopt.elements.scales`` defines it.
    """

    axis: int | None = None
    """The axis for the agreement; chosen from the first shape where it is None."""
    energy: Energy = dataclasses.field(default_factory=Energy)
    absolute: Worst | None = None
    """None where nothing differs."""
    relative: Worst | None = None
    least_sqnr: float = math.inf
    """Of the worst sample, in dB."""
    mismatches: int = 0
    """Integers, booleans and strings that are not equal."""
    elements: int = 0
    samples: int = 0
    agreement: Agreement | None = None
    """None where no axis has two elements or the elements are no floating-point numbers."""
    misshapen: str | None = None
    """What differs in type or shape, so that elements cannot be compared."""
    widened: str | None = None
    """Two floating-point types that were compared."""

    def add(self, expected: np.ndarray, actual: np.ndarray) -> float:
        """Take one sample's pair of arrays in; where they do not fit, that is noted.

        Returns the pair's largest relative error: infinite where something other than a number is
        off.
        """
        sample = self.samples
        self.samples += 1
        if expected.shape != actual.shape or not _comparable(expected, actual):
            self.misshapen = self.misshapen or f"{_kind(expected)} and {_kind(actual)}"
            return math.inf
        if expected.dtype != actual.dtype:
            self.widened = f"{expected.dtype} and {actual.dtype}"
        self.elements += expected.size
        if continuous(expected):
            return self._floating(expected, actual, sample)
        return self._exact(expected, actual, sample)

    @property
    def strange(self) -> int:
        """Elements of which one is NaN or infinite and the other is not, or not alike."""
        return self.energy.strange

    @property
    def sqnr(self) -> float:
        """The signal to noise ratio over all samples in dB; NaN for other than floating point."""
        return self.energy.sqnr if self.energy.elements else math.nan

    @property
    def cosine(self) -> float:
        """The cosine similarity over all samples; NaN for other than floating point."""
        return self.energy.cosine if self.energy.elements else math.nan

    @property
    def equal(self) -> bool:
        """Whether nothing differed at all."""
        clean = self.misshapen is None and not self.strange and not self.mismatches
        return clean and self.absolute is None

    def _exact(self, expected: np.ndarray, actual: np.ndarray, sample: int) -> float:
        different = np.asarray(expected != actual)
        count = int(np.count_nonzero(different))
        self.mismatches += count
        if count and expected.dtype.kind in "biu":
            found = np.abs(wide(expected) - wide(actual))
            self.absolute = _worse(self.absolute, found, expected, actual, sample)
        return math.inf if count else 0.0

    def _floating(self, expected: np.ndarray, actual: np.ndarray, sample: int) -> float:
        energy = Energy()
        energy.add(expected, actual)
        self.energy += energy
        if energy.elements:
            self.least_sqnr = min(self.least_sqnr, energy.sqnr)
        self._agree(expected, actual)
        if not energy.noise:
            return math.inf if energy.strange else 0.0
        found = Elements.of(wide(expected), wide(actual))
        self.absolute = _worse(self.absolute, found.difference, expected, actual, sample)
        relative = found.relative
        self.relative = _worse(self.relative, relative, expected, actual, sample)
        return math.inf if energy.strange else float(relative.max(initial=0.0))

    def _agree(self, expected: np.ndarray, actual: np.ndarray) -> None:
        axis = class_axis(expected.shape) if self.axis is None else self.axis
        if axis is None or expected.dtype.kind == "c" or not expected.size:
            return
        equal = np.argmax(expected, axis) == np.argmax(actual, axis)
        before = self.agreement
        self.axis = axis
        self.agreement = Agreement(
            axis=axis,
            size=expected.shape[axis],
            equal=int(np.count_nonzero(equal)) + (before.equal if before else 0),
            total=equal.size + (before.total if before else 0),
        )


def class_axis(shape: tuple[int, ...]) -> int | None:
    """Choose the axis along which classes lie; None where no axis has two elements.

    Maps, ``[N, C, H, W]`` with at least four axes, have their classes along axis 1, as have columns
    ``[N, C, 1, 1]``. Everything else, ``[N, C]`` and ``[N, T, C]``, has them along the last axis.
    """
    if len(shape) >= 4 and shape[1] > 1:
        return 1
    for axis in range(len(shape) - 1, 0 if len(shape) > 1 else -1, -1):
        if shape[axis] > 1:
            return axis
    return None


def _comparable(expected: np.ndarray, actual: np.ndarray) -> bool:
    return expected.dtype == actual.dtype or (continuous(expected) and continuous(actual))


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _worse(
    before: Worst | None,
    errors: np.ndarray,
    expected: np.ndarray,
    actual: np.ndarray,
    sample: int,
) -> Worst | None:
    if before is not None and float(errors.max(initial=0.0)) <= before.value:
        return before
    return _worst(errors, expected, actual, sample)


def _worst(errors: np.ndarray, expected: np.ndarray, actual: np.ndarray, sample: int) -> Worst:
    place = np.unravel_index(int(errors.argmax()), errors.shape)
    return Worst(
        value=float(errors[place]),
        sample=sample,
        index=tuple(int(at) for at in place),
        expected=_number(expected[place]),
        actual=_number(actual[place]),
    )


def _number(element: np.generic) -> float:
    return float(np.abs(element)) if np.iscomplexobj(element) else float(element)
