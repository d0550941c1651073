"""One scale for what a Concat joins, so that the kernel copies instead of rounding again."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

import onnx_ir as ir

from onnxopt import graph
from onnxopt.kernels import Role
from onnxopt.passes.quantize._plan import Plan, data_inputs
from onnxopt.quantization.params import Params, fit

LEAST = 0.5
"""The share of the joined range that a part must have to take its scale: it loses a bit at most."""


def join(plan: Plan, params: MutableMapping[ir.Value, Params], *, symmetric: bool) -> None:
    """Give parts of a Concat one scale that holds them all, the last Concat first.

    ONNX Runtime looks every number of a part up in a table where the scales differ, and copies it
    where they do not, which is several times faster. Parts with so small a range that more than a
    bit would be lost keep their own; so does what begins at zero beside what does not, for a Relu
    may have gone up in that, and what a Clip ends beside what goes on.
    """
    fixed: set[ir.Value] = set()
    for node in reversed(plan.between):
        tail = plan.tails(node)[0]
        if node.op_type != "Concat" or tail not in params:
            continue
        parts = [_source(plan, value) for value in data_inputs(node)]
        near = [part for part in parts if part in params and _alike(params[part], params[tail])]
        whole = _whole([tail, *near], params, fixed, symmetric=symmetric)
        for value in (tail, *near):
            free = value not in fixed and not _cut(value, whole)
            if free and _holds(whole, params[value]):
                params[value] = whole
                fixed.add(value)


def _whole(
    values: Sequence[ir.Value],
    params: MutableMapping[ir.Value, Params],
    fixed: set[ir.Value],
    *,
    symmetric: bool,
) -> Params:
    """Return what holds all of some values; where one is fixed already, what the first such has."""
    held = [params[value] for value in values]
    for value in values:
        if value in fixed:
            return params[value]
    low, high = min(float(each.low) for each in held), max(float(each.high) for each in held)
    return fit(low, high, held[0].type, symmetric=symmetric)


def _source(plan: Plan, value: ir.Value) -> ir.Value:
    """Return the value whose scale another takes over, where what makes it only moves data."""
    node = value.producer()
    while node in plan.between and node is not None and plan.between[node].role is not Role.OWN:
        value = data_inputs(node)[0]
        node = value.producer()
    return value


def _alike(one: Params, other: Params) -> bool:
    same = one.type == other.type and _from_zero(one) == _from_zero(other)
    return same and LEAST <= float(one.scale) / float(other.scale) <= 1 / LEAST


def _from_zero(params: Params) -> bool:
    return int(params.zero_point) == params.type.qmin


def _cut(value: ir.Value, whole: Params) -> bool:
    """Return whether a range lets more through than a Clip that has gone up in it.

    ONNX Runtime takes a Clip into an integer kernel whose range ends within half a step of its
    bound.
    """
    clip = value.producer()
    if clip is None or clip.op_type != "Clip" or clip.domain:
        return False
    bound = graph.scalar(clip.inputs[2]) if len(clip.inputs) > 2 and clip.inputs[2] else None
    return bound is not None and float(whole.high) > bound + float(whole.scale) / 4


def _holds(whole: Params, part: Params) -> bool:
    """Return whether a part loses no more than a bit in a range, and is not cut off by it."""
    step = float(whole.scale)
    inside = part.low >= whole.low - step and part.high <= whole.high + step
    return bool(inside) and float(part.scale) / step >= LEAST
