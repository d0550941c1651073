"""What each node and each operator costs at the sizes that are looked at."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from onnxopt.costs import Costs, NodeCost
from onnxopt.costs.count import is_weight
from onnxopt.shapes.engine import Engine
from onnxopt.shapes.extent import Dims, Extent, plus


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """One node; None for what is not known."""

    name: str
    operator: str
    inputs: str
    """Shapes of its inputs that are no weights; scalars are left out."""
    weights: str
    """Shapes of those that are."""
    outputs: str
    macs: int | None
    ops: int | None
    """Scalar operations that are not part of a MAC."""
    nbytes: int | None
    """Read and written, if nothing stays in a cache."""
    weight_bytes: int
    times: int | None
    """How often it runs in one run of the model."""
    unknown: str
    """Why something is not known of it."""

    @property
    def intensity(self) -> float | None:
        """Operations a byte, a MAC being two; None where nothing is moved or known."""
        if self.macs is None or self.ops is None or not self.nbytes:
            return None
        return (2 * self.macs + self.ops) / self.nbytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class OperatorTotal:
    """All nodes of one operator together; unknown ones add nothing."""

    operator: str
    nodes: int
    macs: int
    ops: int
    nbytes: int
    weight_bytes: int
    unknown: int
    """Nodes of which MACs or bytes are not known."""


def layers(costs: Costs) -> tuple[Layer, ...]:
    """Describe every node, in order."""
    engine = costs.inference.memo.engine
    return tuple(_layer(row, engine) for row in costs.rows)


def _layer(row: NodeCost, engine: Engine) -> Layer:
    moving: list[str] = []
    fixed: list[str] = []
    for value in row.node.inputs:
        if value is not None:
            weight = is_weight(value, engine)
            (fixed if weight else moving).append(_shape(engine.fact(value).shape))
    made = [_shape(engine.fact(value).shape) for value in row.node.outputs if value.name != ""]
    return Layer(
        name=row.name,
        operator=row.operator,
        inputs=", ".join(filter(None, moving)),
        weights=", ".join(filter(None, fixed)),
        outputs=", ".join(filter(None, made)),
        macs=_number(row.macs),
        ops=_number(row.ops),
        nbytes=_number(plus(row.read_bytes, row.written_bytes)),
        weight_bytes=row.weight_bytes,
        times=_number(row.times),
        unknown=row.unknown,
    )


def _shape(shape: Dims | None) -> str:
    if shape is None:
        return "?"
    return "x".join("?" if not isinstance(size, int) else str(size) for size in shape)


def _number(amount: Extent) -> int | None:
    return amount if isinstance(amount, int) else None


def by_operator(found: Iterable[Layer]) -> tuple[OperatorTotal, ...]:
    """Add up by operator, most MACs first, then most bytes."""
    groups: dict[str, list[Layer]] = {}
    for layer in found:
        groups.setdefault(layer.operator, []).append(layer)
    totals = [_total(operator, group) for operator, group in groups.items()]
    return tuple(sorted(totals, key=lambda row: (-row.macs, -row.nbytes, -row.nodes)))


def _total(operator: str, group: Sequence[Layer]) -> OperatorTotal:
    return OperatorTotal(
        operator=operator,
        nodes=len(group),
        macs=sum(layer.macs or 0 for layer in group),
        ops=sum(layer.ops or 0 for layer in group),
        nbytes=sum(layer.nbytes or 0 for layer in group),
        weight_bytes=sum(layer.weight_bytes for layer in group),
        unknown=sum(layer.macs is None or layer.nbytes is None for layer in group),
    )
