"""The original model beside the pipeline: run once, and compared with every result."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import onnx_ir as ir

from onnxopt.base import Evaluate
from onnxopt.errors import BackendError, ModelError, OnnxoptError
from onnxopt.evaluate import Evaluator, Run
from onnxopt.feeds import Plan
from onnxopt.graph import weight_bytes
from onnxopt.samples import Samples, fitted
from onnxopt.signature import Need
from onnxopt.target import Feeds
from onnxopt.verify.numbers import Comparison, Tolerance
from onnxopt.verify.reference import Reference, refer
from onnxopt.verify.structure import signature

LARGE = 512 << 20
"""Bytes of weights from which only the regions that changed are evaluated."""

_WHOLE = 50_000
"""Nodes up to which the runtime opens a file in less time than the passes take meanwhile."""


class Original:
    """What a rewritten model is compared with, made when it is first needed.

    ``start`` it before the pipeline changes the model; then ``judge`` results.
    """

    def __init__(
        self,
        load: Callable[[], ir.Model],
        evaluate: Evaluate | None,
        samples: Samples | None,
        seed: int,
    ) -> None:
        self.load = load
        self.tolerance = Tolerance()
        self.described: tuple[str, ...] = ()
        """What was compared: how each set of feeds was made, or which regions were run."""
        self.unverified: str | None = None
        """Why numbers cannot be compared."""
        self.feeds: Sequence[Feeds] = ()
        self._evaluate = evaluate
        self._samples = samples
        self._seed = seed
        self._judge: Callable[[ir.Model, Run | None], Comparison] | None = None
        self._pending: Callable[[], Reference] | None = None
        self._inputs: list[object] = []

    def start(self, model: ir.Model, path: Path | None) -> None:
        """Begin to run the original: from its file beside the pipeline, where there is one."""
        evaluate = self._evaluate
        self.tolerance = Tolerance.of(model)
        self._inputs = _inputs(model)
        if evaluate is None:
            self.unverified = "there is no runtime to run the model on"
        elif weight_bytes(model) >= LARGE:
            kept = model.clone()  # shares the weights, so that replays read none of them
            self.load = kept.clone
            self._judge = functools.partial(self._by_regions, evaluate, kept)
        else:
            with self._noted():
                refers = self._refers(evaluate, self._samples or Plan.of(model))
                if path is not None and len(model.graph) <= _WHOLE:
                    pool = concurrent.futures.ThreadPoolExecutor(1)
                    self._pending = pool.submit(refers, path).result
                    pool.shutdown(wait=False)
                else:
                    self._use(refers(model))

    def _settle(self) -> None:
        """Wait for the original; where the runtime cannot read its file, run it from memory."""
        if self._pending is None or self._evaluate is None:
            return
        pending, self._pending = self._pending, None
        with contextlib.suppress(BackendError, ModelError):
            self._use(pending())
            return
        with self._noted():
            model = self.load()
            self._use(self._refers(self._evaluate, self._samples or Plan.of(model))(model))

    def judge(self, model: ir.Model) -> Comparison:
        """Compare a rewritten model with the original; no mismatches where that is impossible."""
        with contextlib.ExitStack() as stack:
            run = self._opened(model, stack)
            self._settle()
            if self._judge is not None and _inputs(model) != self._inputs:
                self._inputs = _inputs(model)
                self._adapt(model)
            return Comparison() if self._judge is None else self._judge(model, run)

    def _opened(self, model: ir.Model, stack: contextlib.ExitStack) -> Run | None:
        """Open a rewritten model while the original is still running."""
        if self._pending is None or not isinstance(self._evaluate, Evaluator):
            return None
        with contextlib.suppress(OnnxoptError):  # the judge finds the same, and says so
            return stack.enter_context(self._evaluate.opened(model))
        return None

    def _refers(
        self, evaluate: Evaluate, source: Samples | Plan
    ) -> Callable[[ir.Model | Path], Reference]:
        load, tolerance, seed = self.load, self.tolerance, self._seed
        return lambda model: refer(load, model, evaluate, tolerance, source, seed)

    def _use(self, reference: Reference) -> None:
        self._judge = reference.judge
        self.described = reference.described
        self.feeds = reference.feeds

    def _adapt(self, result: ir.Model) -> None:
        """Where a pass has fixed sizes of inputs, feed the original those sizes.

        Raises ModelError where the given samples have other sizes.
        """
        original = self.load()
        if self._samples is not None:
            for feeds in self.feeds:
                for value in result.graph.inputs:
                    if value.name in feeds:
                        fitted(feeds[value.name or ""], value, "samples")
            return
        if self._evaluate is None or weight_bytes(original) >= LARGE:
            return
        fixed = {need.name: need for need in Plan.of(result).needs}
        merged = tuple(_fixed(need, fixed.get(need.name)) for need in Plan.of(original).needs)
        with self._noted():
            self._use(self._refers(self._evaluate, Plan.for_needs(merged))(original))

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except OnnxoptError as error:
            if self._samples is not None:
                raise
            self.unverified = f"the original does not run: {error}"
            self._judge = None

    def _by_regions(
        self, evaluate: Evaluate, original: ir.Model, model: ir.Model, _: Run | None
    ) -> Comparison:
        from onnxopt.verify import regions  # takes long to import, and only large models need it

        verdict = regions.check(original, model, evaluate, self.tolerance, self._seed)
        self.described = (str(verdict),)
        return verdict.comparison


def _inputs(model: ir.Model) -> list[object]:
    return [entry for entry in signature(model) if entry[0] == "input"]


def _fixed(need: Need, new: Need | None) -> Need:
    if new is None or len(new.dims) != len(need.dims):
        return need
    return dataclasses.replace(need, dims=new.dims)
