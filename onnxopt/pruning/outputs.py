"""How far outputs are from what they were."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from onnxopt.ops import SQUASHING

_TOLD_BY_INPUT = SQUASHING | {("", name) for name in ("ArgMax", "ArgMin", "Cast", "TopK")}


def telling(model: ir.Model) -> list[ir.Value]:
    """Return the outputs of floating point; of shares, choices and casts of them, what goes in."""
    found = []
    for value in model.graph.outputs:
        node = value.producer()
        while node is not None and (node.domain, node.op_type) in _TOLD_BY_INPUT:
            value = node.inputs[0] or value
            node = value.producer()
        if value in found:
            continue
        if value.dtype is None or value.dtype.is_floating_point():
            found.append(value)
    return found


def centred(array: np.ndarray) -> np.ndarray:
    """Take the mean over classes away, which moves no decision: axis 1 of images, else the last."""
    if array.ndim < 2:
        return array.astype(np.float64)
    wide = array.astype(np.float64)
    return np.asarray(wide - wide.mean(axis=1 if array.ndim == 4 else -1, keepdims=True))


class Distance:
    """The mean square error of centred outputs over their mean square, added up over outputs."""

    def __init__(self, count: int) -> None:
        self._missed = np.zeros(count)
        self._signal = np.zeros(count)

    def add(self, expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> None:
        """Add a sample's outputs: as they were, as they are."""
        for at, (one, other) in enumerate(zip(expected, found, strict=True)):
            target = centred(one)
            self._missed[at] += np.square(centred(other) - target).sum()
            self._signal[at] += np.square(target).sum()

    @property
    def value(self) -> float:
        """Return the mean over outputs; infinite where something is not finite."""
        known = self._signal > 0
        if not known.any():
            return 0.0
        found = float((self._missed[known] / self._signal[known]).mean())
        return found if math.isfinite(found) else math.inf
