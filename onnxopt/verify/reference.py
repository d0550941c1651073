"""What the original model computes, and how far rounding alone moves it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from onnxopt.base import Evaluate
from onnxopt.errors import OnnxoptError
from onnxopt.evaluate import Evaluator, Run, evaluate_each
from onnxopt.feeds import Plan, settled
from onnxopt.samples import Samples
from onnxopt.target import Feeds, Outputs
from onnxopt.verify.disturb import disturb_values, disturb_weights, disturbed
from onnxopt.verify.numbers import Comparison, Mismatch, Tolerance, compare

GIVEN = 4
"""Given samples that are compared."""
SAMPLED = "given sample"
"""What one of them is called."""

_DISTURBANCES = 3


@dataclasses.dataclass
class Reference:
    """Feeds, and the original's outputs for them."""

    load: Callable[[], ir.Model]
    evaluate: Evaluate
    tolerance: Tolerance
    feeds: Sequence[Feeds]
    expected: Sequence[Outputs]
    described: tuple[str, ...] = ()
    """How each of the feeds was made."""
    _moved: list[tuple[Outputs, ...]] | None = None

    def judge(self, model: ir.Model, run: Run | None = None) -> Comparison:
        """Compare a rewritten model's outputs; where it cannot run, that is a mismatch too.

        ``run`` is the model itself, where it is open already.
        """
        names = {value.name for value in model.graph.inputs}
        given = [{k: v for k, v in feeds.items() if k in names} for feeds in self.feeds]
        try:
            found = evaluate_each(self.evaluate, model, given) if run is None else map(run, given)
            actual = list(found)
        except OnnxoptError as error:
            return Comparison((Mismatch("", f"the rewritten model does not run: {error}"),))
        return self.against(actual)

    def against(self, actual: Sequence[Outputs]) -> Comparison:
        """Compare outputs for the feeds; where they differ, ask how well conditioned those are."""
        result = self._compared(actual, [()] * len(actual))
        if result.mismatches:
            result = self._compared(actual, self._disturbed())
        return result

    def _compared(
        self, actual: Sequence[Outputs], moved: Sequence[tuple[Outputs, ...]]
    ) -> Comparison:
        result = Comparison()
        for expected, found, others in zip(self.expected, actual, moved, strict=True):
            result += compare(expected, found, self.tolerance, others)
        return result

    def _disturbed(self) -> list[tuple[Outputs, ...]]:
        """Run the original on inputs and weights that differ in the last bits, a few times."""
        if self._moved is None:
            runs = [self._disturbed_once(seed) for seed in range(_DISTURBANCES)]
            self._moved = [
                tuple(run[at] for run in runs if at < len(run)) for at in range(len(self.feeds))
            ]
        return self._moved

    def _disturbed_once(self, seed: int) -> list[Outputs]:
        eps, rng = self.tolerance.eps, np.random.default_rng(seed)
        feeds = [{name: disturbed(v, eps, rng) for name, v in each.items()} for each in self.feeds]
        for inside in (True, False):
            model = self.load()
            disturb_weights(model, eps, rng)
            if inside:
                disturb_values(model, eps, rng)
            with contextlib.suppress(OnnxoptError):
                return list(evaluate_each(self.evaluate, model, feeds))
        return []


def made_up(plan: Plan, run: Run, seed: int) -> tuple[list[Feeds], list[Outputs], tuple[str, ...]]:
    """Make feeds up that the original accepts; return them, its outputs and how they were made."""
    found = settled(plan, run, seed)
    described = tuple(
        ", ".join([f"{mode.value} values", *(f"{name}={size}" for name, size in sizes.items())])
        for sizes, mode, _, _ in found
    )
    return [entry[2] for entry in found], [entry[3] for entry in found], described


def refer(
    load: Callable[[], ir.Model],
    model: ir.Model | Path,
    evaluate: Evaluate,
    tolerance: Tolerance,
    source: Samples | Plan,
    seed: int = 0,
) -> Reference:
    """Run the original, given as a model or as its file, on samples or on feeds made up.

    Raises an OnnxoptError where it cannot be run.
    """
    with contextlib.ExitStack() as stack:
        run: Run
        if isinstance(evaluate, Evaluator):
            run = stack.enter_context(evaluate.opened(model))
        else:
            whole = load() if isinstance(model, Path) else model
            run = _runner(evaluate, whole)
        if isinstance(source, Plan):
            feeds, expected, described = made_up(source, run, seed)
        else:
            feeds = list(source.first(GIVEN))
            expected = [run(each) for each in feeds]
            described = (SAMPLED,) * len(feeds)
    return Reference(load, evaluate, tolerance, feeds, expected, described)


def _runner(evaluate: Evaluate, model: ir.Model) -> Run:
    return lambda feeds: evaluate(model, feeds)
