"""Refit what is left, layer by layer, to what the whole model computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context
from onnxopt.layers import matrices, readers
from onnxopt.layers.readers import Layer
from onnxopt.pruning.candidates import LARGEST
from onnxopt.pruning.frontier import Frontier, Live, shortcuts_first
from onnxopt.pruning.options import Recover
from onnxopt.pruning.refit import Affine, Refit, centre, chosen_ridge, error
from onnxopt.pruning.seen import Seen
from onnxopt.target import Feeds

RECTIFIED = 3
"""How often what comes before a Relu is refitted to what comes after it."""

Kept = Mapping[str, np.ndarray]
"""By the name of a weight, a mask over the columns of its matrix: those that stay."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refitted:
    """A layer that was refitted, and its error over the variance of what was wanted."""

    name: str
    before: float
    after: float


class Recovery:
    """Refits the layers of a pruned model, in which what is gone is zero, to the original.

    Layer by layer in the order of computation: the inputs are those that the pruned model computes
    with all earlier layers refitted; wanted is what the original's layer computes, and where a
    shortcut is added, the original's sum less the pruned model's shortcut, so that each block makes
    up for the errors of those before it.
    """

    def __init__(
        self,
        original: ir.Model,
        pruned: ir.Model,
        kept: Kept,
        context: Context,
        how: Recover = "refit",
    ) -> None:
        self._original, self._pruned, self._kept = original, pruned, kept
        self._context, self._how = context, how
        self._random = np.random.default_rng(context.seed)
        self._names = graph.Names(pruned)
        twins = zip(original.graph, pruned.graph, strict=True)
        self._twin: dict[ir.Node, ir.Node] = dict(twins)
        self._values = {
            id(one): other
            for node, twin in self._twin.items()
            for one, other in zip(node.outputs, twin.outputs, strict=True)
        } | {
            id(one): other
            for one, other in zip(original.graph.inputs, pruned.graph.inputs, strict=True)
        }

    def run(self, feeds: Sequence[Feeds]) -> list[Refitted]:
        """Change the weights and biases of the pruned model; return what was refitted."""
        order = shortcuts_first(self._original.graph)
        stops = self._stops(order)
        twins = [self._twin[node] for node in order]
        found = []
        with (
            Frontier(self._original, order, feeds, self._context) as whole,
            Frontier(self._pruned, twins, feeds, self._context) as thin,
        ):
            for done, (start, end, layer) in enumerate(stops):
                self._context.progress("refitting layers", done, len(stops))
                whole.advance(max(end, whole.at))
                thin.advance(start)
                kept = self._columns(layer)
                if id(layer.output) in whole.live[0] and kept.any():
                    found.append(self._refit(layer, kept, whole.live, thin.live))
        return found

    def _stops(self, order: Sequence[ir.Node]) -> list[tuple[int, int, Layer]]:
        """Return the layers from the first that lost a column on, with where they begin and end."""
        place = {node: at for at, node in enumerate(order)}
        layers = [layer for node in order if (layer := readers.read(node)) is not None]
        names = [layer.weight.name for layer in layers]
        first = next((at for at, name in enumerate(names) if name in self._kept), len(layers))
        return [
            (place[layer.node], place[layer.adds or layer.node] + 1, layer)
            for layer in layers[first:]
            if graph.sole_use(layer.weight)
            and layer.weight.is_initializer()
            and matrices.matrix(layer).shape[-1] <= LARGEST
        ]

    def _refit(
        self, layer: Layer, kept: np.ndarray, whole: Sequence[Live], thin: Sequence[Live]
    ) -> Refitted:
        twin = readers.read(self._twin[layer.node])
        assert twin is not None
        seen = Seen(layer, twin, self._beside(layer), whole, thin, self._random)
        first, second = seen.moments()
        moments = first.joined(second)
        rows = matrices.matrix(twin)
        before = Affine(rows.astype(np.float64), _bias(twin, rows.shape[:2]))
        name = layer.output.name or ""
        if not moments.finite:
            return Refitted(name=name, before=np.inf, after=np.inf)
        has_bias = twin.bias is not None or twin.node.op_type in ("Conv", "Gemm")
        bounds = readers.rectified(layer) if seen.summed else None
        wanted = moments if bounds is None else seen.rectified(moments, before, bounds)
        lost = error(wanted, before, moments.variance())
        if self._how == "refit":
            ridge = chosen_ridge(first, second, before, kept, has_bias=has_bias)
            refit = Refit(moments, before, kept, has_bias=has_bias, ridge=ridge)
            after = refit.to(moments)
            for _ in range(RECTIFIED if bounds is not None else 0):
                assert bounds is not None
                wanted = seen.rectified(moments, after, bounds)
                after = refit.to(wanted)
        else:
            bias = centre(moments, before.weight) if has_bias else before.bias
            after = Affine(before.weight, bias)
        matrices.replace(twin, after.weight)
        if has_bias:
            readers.set_bias(self._pruned, twin, after.bias.reshape(-1), self._names)
        left = error(wanted, after, moments.variance())
        return Refitted(name=name, before=lost, after=left)

    def _beside(self, layer: Layer) -> tuple[ir.Value, ir.Value] | None:
        """Return the shortcut that is added to a layer's output, whole and pruned."""
        shortcut = readers.shortcut(layer)
        twin = None if shortcut is None else self._values.get(id(shortcut))
        return None if shortcut is None or twin is None else (shortcut, twin)

    def _columns(self, layer: Layer) -> np.ndarray:
        """Return which columns of a layer stay; none of one that ends a branch that is gone."""
        every = np.ones(matrices.matrix(layer).shape[-1], bool)
        return self._kept.get(layer.weight.name or "", every)


def _bias(layer: Layer, shape: tuple[int, ...]) -> np.ndarray:
    if layer.bias is None:
        return np.zeros(shape)
    return readers.contents(layer.bias).astype(np.float64).reshape(shape)
