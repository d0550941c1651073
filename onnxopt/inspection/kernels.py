"""What targets are foretold to compute of a quantized model on integers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from onnxopt import catalogue
from onnxopt.costs.count import NodeCost
from onnxopt.quantization.coverage import on_integers

_SIGNS = frozenset(("DequantizeLinear", "DynamicQuantizeLinear"))
"""Operators that a quantized model has one of."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Foretold:
    """The products with weights that a target computes on integers."""

    target: str
    kernels: str
    """The name of the rows that say so: ``x86-vnni``."""
    nodes: int
    of_nodes: int
    macs: int
    of_macs: int


def foretold(rows: Sequence[NodeCost]) -> tuple[Foretold, ...]:
    """Return what each target with integer kernels makes of the nodes of a model.

    None where nothing is quantized: then the answer is the same for all.
    """
    if not any(row.node.op_type in _SIGNS for row in rows):
        return ()
    found = []
    for target in catalogue.targets():
        kernels = catalogue.find_backend(target).target().integer
        if kernels is None:
            continue
        asked = [(row, on_integers(row.node, kernels)) for row in rows]
        counted = [(row.macs if isinstance(row.macs, int) else 0, on) for row, on in asked]
        products = [(macs, on) for macs, on in counted if on is not None]
        found.append(
            Foretold(
                target=target,
                kernels=kernels.name,
                nodes=sum(on for _, on in products),
                of_nodes=len(products),
                macs=sum(macs for macs, on in products if on),
                of_macs=sum(macs for macs, _ in products),
            )
        )
    return tuple(found)
