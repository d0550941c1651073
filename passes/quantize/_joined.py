"""One scale for what a Concat joins, so that the kernel copies instead of rounding again."""

from __future__ import annotations

from collections.abc import MutableMapping

import onnx_ir as ir

from onnxopt.kernels import Role
from onnxopt.passes.quantize._plan import Plan, data_inputs
from onnxopt.quantization.params import Params

LEAST = 0.5
"""The share of the joined range that a part must have to take its scale: it loses a bit at most."""


def join(plan: Plan, params: MutableMapping[ir.Value, Params]) -> None:
    """Give parts of a Concat the scale of the whole, the widest of them, the last Concat first.

    ONNX Runtime looks every number of a part up in a table where the scales differ, and copies it
    where they do not, which is several times faster. Parts with another zero point, or with so
    small a range that a bit or more would be lost, keep their own.
    """
    fixed: set[ir.Value] = set()
    for node in reversed(plan.between):
        tail = plan.tails(node)[0]
        if node.op_type != "Concat" or tail not in params:
            continue
        parts = [_source(plan, value) for value in data_inputs(node)]
        near = [part for part in parts if part in params and _alike(params[part], params[tail])]
        wide = tail if tail in fixed else max([tail, *near], key=lambda value: _step(params[value]))
        whole = params[wide]
        for value in (tail, *near):
            if value not in fixed and LEAST <= _step(params[value]) / _step(whole) <= 1:
                params[value] = whole
                fixed.add(value)


def _source(plan: Plan, value: ir.Value) -> ir.Value:
    """Return the value whose scale another takes over, where what makes it only moves data."""
    node = value.producer()
    while node in plan.between and node is not None and plan.between[node].role is not Role.OWN:
        value = data_inputs(node)[0]
        node = value.producer()
    return value


def _alike(one: Params, other: Params) -> bool:
    same = one.type == other.type and one.zero_point == other.zero_point
    return bool(same) and LEAST <= _step(one) / _step(other) <= 1 / LEAST


def _step(params: Params) -> float:
    return float(params.scale)
