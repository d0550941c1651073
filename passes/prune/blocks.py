"""Residual blocks that change the outputs least go as a whole."""

from __future__ import annotations

import contextlib
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt.base import Context, Pass
from onnxopt.errors import UsageError
from onnxopt.passes.prune._residual import Block, blocks
from onnxopt.passes.quantize._plan import Choice
from onnxopt.target import Outputs


class Blocks(Pass):
    """``y = x + f(x)`` becomes ``y = x`` where that changes the outputs least.

    One block after the other: each time every block that is left is taken out alone, and the one
    goes with the least ``sum (z' - z)^2 / sum (z - mean z)^2`` on the samples, averaged over the
    floating-point outputs z of the original. Shapes must be known: ``infer-shapes`` first.
    """

    lossless: ClassVar[bool] = False
    idempotent: ClassVar[bool] = False
    needs_samples: ClassVar[bool] = True

    count: int = 1
    """Blocks that go; all that there are, if fewer."""
    samples: int = 64
    """Samples that are looked at for each block."""
    least: int = 256
    """A block has a weight of at least so many elements."""
    only: tuple[str, ...] = ()
    """Patterns of names of the sum, its output or its operator: no other block goes."""
    skip: tuple[str, ...] = ()
    """Patterns of blocks that stay."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of blocks that were taken out."""
        if context.samples is None:
            raise UsageError("prune/blocks needs samples: pass a folder or a file of them")
        original, refused = model.clone(), set[str]()
        changes = 0
        while changes < self.count:
            found = [b for b in self._blocks(model) if b.output.name not in refused]
            if not found:
                break
            best = min(found, key=lambda block: self._error(original, model, block, context))
            if context.gate.permit(self.name, best.output.name or ""):
                best.leave_out()
                changes += 1
            else:
                refused.add(best.output.name or "")
        return changes

    def _blocks(self, model: ir.Model) -> list[Block]:
        choice = Choice(only=self.only, skip=self.skip)
        return [block for block in blocks(model, self.least) if choice.allows(block.add)]

    def _error(self, original: ir.Model, model: ir.Model, block: Block, context: Context) -> float:
        """Return how far the outputs move from the original's without a block."""
        without = model.clone()
        name = block.output.name
        next(b for b in blocks(without, self.least) if b.output.name == name).leave_out()
        assert context.samples is not None
        sums = _Sums()
        with contextlib.ExitStack() as stack:
            before = stack.enter_context(context.open(original))
            after = stack.enter_context(context.open(without))
            for feeds in context.samples.first(self.samples):
                context.progress(f"block '{name}'", sums.seen, self.samples)
                sums.add(before.run(feeds), after.run(feeds))
        return sums.error


class _Sums:
    def __init__(self) -> None:
        self.seen = 0
        self._lost: dict[str, float] = {}
        self._own: dict[str, float] = {}

    def add(self, before: Outputs, after: Outputs) -> None:
        self.seen += 1
        for name, array in before.items():
            if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.size:
                own = array.astype(np.float64)
                lost = float(((after[name].astype(np.float64) - own) ** 2).sum())
                self._lost[name] = self._lost.get(name, 0.0) + lost
                self._own[name] = self._own.get(name, 0.0) + float(((own - own.mean()) ** 2).sum())

    @property
    def error(self) -> float:
        shares = [lost / max(self._own[name], 1e-30) for name, lost in self._lost.items()]
        return float(np.mean(shares)) if shares else 0.0
