"""Calibrated ranges, kept in the model as metadata of its values."""

from __future__ import annotations

import dataclasses
import json
import math

import onnx_ir as ir

from onnxopt.errors import ModelError

KEY = "onnxopt.range"

WITHOUT = "onnxopt.without-range"
"""Under which a model's ``meta`` lists why values have no range."""


def without(model: ir.Model) -> list[str]:
    """Return why values have no range, for a person to read."""
    said: list[str] = model.meta.get(WITHOUT, [])
    return [f"no range was found where {each}" for each in said]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Range:
    """The numbers that a value took on the samples, or those worth keeping exact."""

    low: float
    high: float

    @property
    def finite(self) -> bool:
        """Whether both ends are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def __or__(self, other: Range) -> Range:
        """Return the range that holds both."""
        return Range(low=min(self.low, other.low), high=max(self.high, other.high))


def write(value: ir.Value, found: Range) -> None:
    """Keep the range of a value."""
    value.metadata_props[KEY] = json.dumps([found.low, found.high])


def read(value: ir.Value) -> Range | None:
    """Return the range of a value; None where it has none.

    Raises ModelError for one that is not two finite numbers in order.
    """
    text = value.metadata_props.get(KEY)
    if text is None:
        return None
    try:
        low, high = json.loads(text)
        found = Range(low=float(low), high=float(high))
    except (TypeError, ValueError) as error:
        raise _unreadable(value, text) from error
    if not (found.finite and found.low <= found.high):
        raise _unreadable(value, text)
    return found


def _unreadable(value: ir.Value, text: str) -> ModelError:
    return ModelError(
        f"value '{value.name}': '{text:.40}' is not a calibrated range; calibrate the model again"
    )
