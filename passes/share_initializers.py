"""Store equal weights once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass

_PROBE = 512
"""Elements at either end that are compared before a large tensor is read whole."""

Kind = tuple[ir.DataType, tuple[object, ...]]


class ShareInitializers(Pass):
    """Let one initializer stand for all of its graph with the same type, shape and contents."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Compare initializers of equal type and shape; large ones only where a probe agrees."""
        return sum(_share(home, context) for home in graph.nested(model.graph))


def _share(home: ir.Graph, context: Context) -> int:
    kinds: dict[Kind, list[ir.Value]] = {}
    for value in home.initializers.values():
        held = graph.tensor(value)
        if held is not None and held.dtype != ir.DataType.STRING and not value.is_graph_output():
            kinds.setdefault((held.dtype, tuple(held.shape)), []).append(value)
    changes = 0
    for group in kinds.values():
        if len(group) > 1:
            changes += _merge(home, group, context)
    return changes


def _merge(home: ir.Graph, group: Iterable[ir.Value], context: Context) -> int:
    changes = 0
    probed: dict[bytes, list[ir.Value]] = {}
    for value in group:
        held = graph.tensor(value)
        if held is None:
            continue
        kept = probed.setdefault(_probe(held), [])
        same = next((other for other in kept if _equal(graph.tensor(other), held)), None)
        if same is None:
            kept.append(value)
        elif context.gate.permit("share-initializers", value.name or ""):
            value.replace_all_uses_with(same)
            del home.initializers[value.name or ""]
            changes += 1
    return changes


def _flat(held: ir.TensorProtocol) -> np.ndarray:
    return held.numpy().reshape(-1)


def _probe(held: ir.TensorProtocol) -> bytes:
    flat = _flat(held)
    return flat[:_PROBE].tobytes() + flat[-_PROBE:].tobytes()


def _equal(one: ir.TensorProtocol | None, other: ir.TensorProtocol) -> bool:
    """Compare bit by bit, in slices, so that no second copy of a large weight is made."""
    if one is None:
        return False
    left, right = _flat(one), _flat(other)
    edges = range(0, left.size + (1 << 16), 1 << 16)
    return all(left[a:b].tobytes() == right[a:b].tobytes() for a, b in itertools.pairwise(edges))
