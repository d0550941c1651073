"""The sizes at which a model is counted: those that are given, and likely ones for the others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import onnx_ir as ir

from onnxopt.costs import Costs
from onnxopt.errors import ModelError
from onnxopt.feeds import Plan

_TRIES = 28


def counted(model: ir.Model, given: Mapping[str, int]) -> tuple[Costs, dict[str, int], Costs]:
    """Return the costs at sizes, those sizes, and the costs as formulas.

    Sizes that are not given are those that feeds are made up with: the first ones at which no node
    contradicts its input.
    """
    formula = Costs.of(model)
    hopeless = bool(formula.inference.memo.engine.impossible)
    first: tuple[Costs, dict[str, int]] | None = None
    for likely in _likely(model):
        sizes = {**likely, **given}
        costs = Costs.of(model, sizes)
        first = first or (costs, sizes)
        if hopeless or not costs.inference.memo.engine.impossible:
            return costs, sizes, formula
    costs, sizes = first or (Costs.of(model, given), dict(given))
    return costs, sizes, formula


def _likely(model: ir.Model) -> Iterator[Mapping[str, int]]:
    try:
        plan = Plan.of(model)
    except ModelError:  # an input that is no tensor
        return
    yield from itertools.islice(plan.sizes(), _TRIES)
