"""Everything that can be said of a model without running it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from onnxopt import given
from onnxopt.costs import Costs
from onnxopt.inspection.coverage import Coverage, coverage
from onnxopt.inspection.interface import OpenExtent, Origin, Port, open_extents, origin, ports
from onnxopt.inspection.kernels import Foretold, foretold
from onnxopt.inspection.layers import Layer, OperatorTotal, by_operator, layers
from onnxopt.inspection.memory import Memory, liveness
from onnxopt.inspection.sizes import counted
from onnxopt.inspection.weights import Show, Weights, scan
from onnxopt.report import Size


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a model is, stores, computes and moves; counts are for one run at ``sizes``."""

    origin: Origin
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    extents: tuple[OpenExtent, ...]
    sizes: Mapping[str, int]
    """By the name of an open extent, or ``input:axis`` where it has none."""
    size: Size
    layers: tuple[Layer, ...]
    """Every node in order, calls of functions replaced by what they call."""
    operators: tuple[OperatorTotal, ...]
    formula: str
    """The MACs as a polynomial in the open extents."""
    weights: Weights
    memory: Memory
    coverage: Coverage
    foretold: tuple[Foretold, ...]
    """What targets compute on integers, where anything is quantized."""
    stops: tuple[str, ...]
    """Where shapes cannot be inferred at these sizes, and why."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates; see `uncounted` for what is missing."""
        return sum(row.macs for row in self.operators)

    @property
    def ops(self) -> int:
        """Scalar operations that are not part of a MAC."""
        return sum(row.ops for row in self.operators)

    @property
    def nbytes(self) -> int:
        """Bytes read and written, if nothing stays in a cache between two nodes."""
        return sum(row.nbytes for row in self.operators)

    @property
    def uncounted(self) -> tuple[Layer, ...]:
        """Nodes of which MACs, operations, bytes or how often they run are not known."""
        return tuple(
            row for row in self.layers if None in (row.macs, row.ops, row.nbytes, row.times)
        )

    @property
    def lacking(self) -> frozenset[str]:
        """The totals that lack what nobody knows: of ``macs``, ``ops`` and ``nbytes``."""
        rows = self.uncounted
        return frozenset(
            name
            for name in ("macs", "ops", "nbytes")
            if any(row.times is None or getattr(row, name) is None for row in rows)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        found = dataclasses.asdict(self)
        found["totals"] = {"macs": self.macs, "ops": self.ops, "nbytes": self.nbytes}
        found["totals"]["at_least"] = sorted(self.lacking)
        found["totals"] |= {
            "parameters": self.weights.parameters,
            "zeros": self.weights.zeros,
            "looked_at_for_zeros": self.weights.counted,
        }
        for layer, row in zip(found["layers"], self.layers, strict=True):
            layer["intensity"] = row.intensity
        return found


def _silent(share: float, text: str) -> None:
    del share, text


def inspect(model: ir.Model, *, shapes: Sequence[str] = (), show: Show = _silent) -> Inspection:
    """Look at a model; it stays as it is and is not run.

    ``shapes`` are texts such as ``x=1,3,224,224``; extents that they leave open get the sizes that
    feeds are made up with. Weights are read once, as a stream; ``show`` is told the share that is
    done. Raises UsageError for shapes that do not fit the model, ModelError for weights that cannot
    be read and functions that cannot be inlined.
    """
    show(0.0, "inferring shapes")
    costs, sizes, formula = counted(model, given.read(model, shapes).sizes())
    found = layers(costs)
    inference = costs.inference
    return Inspection(
        origin=origin(model),
        inputs=ports(model.graph.inputs),
        outputs=ports(model.graph.outputs),
        extents=open_extents(model, sizes),
        sizes=sizes,
        size=Size.of(model),
        layers=found,
        operators=by_operator(found),
        formula=str(formula.macs),
        weights=scan(model, show),
        memory=liveness(costs.model.graph, inference.memo.engine, sizes, _idle(costs)),
        coverage=coverage(costs.rows),
        foretold=foretold(costs.rows),
        stops=_stops(costs),
    )


def _idle(costs: Costs) -> frozenset[ir.Node]:
    """Return the nodes that do not run, in branches that are not taken."""
    return frozenset(row.node for row in costs.rows if row.times == 0)


def _stops(costs: Costs) -> tuple[str, ...]:
    idle = _idle(costs)
    return tuple(str(stop) for stop in costs.inference.stops if stop.node not in idle)
