"""Outputs that nobody wants, and classes that nobody asks for, go with what computes them."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import ClassVar

import onnx_ir as ir

from onnxopt import shapes
from onnxopt.base import Context, Pass
from onnxopt.errors import UsageError
from onnxopt.passes.prune import _classes


class Outputs(Pass):
    """Keep only some outputs of a model; of one of them, keep only some classes.

    What only the others need is left unused: ``dce`` removes it. Classes are channels of the
    layer behind the output, whose weights lose the rows of the others: ``y = W x + b`` becomes
    ``y = W[classes] x + b[classes]``. A Softmax on the way shares 1 among the classes that stay.
    """

    lossless: ClassVar[bool] = False
    changes_signature: ClassVar[bool] = True

    keep: tuple[str, ...] = ()
    """Patterns of outputs that stay; all, if there are none."""
    drop: tuple[str, ...] = ()
    """Patterns of outputs that go."""
    classes: tuple[int, ...] = ()
    """Channels of the last layer that stay, in this order."""
    of: str = ""
    """The output whose classes they are; needed where more than one stays."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of outputs that went or have fewer classes."""
        changes = self._dropped(model, context)
        if not self.classes:
            return changes
        shapes.infer(model)
        output = self._chosen(model)
        path = _classes.path(output)
        _classes.check(path, self.classes)
        if tuple(self.classes) == tuple(range(path.channels)):
            return changes
        if not context.gate.permit(self.name, output.name or ""):
            return changes
        _classes.cut(model, path, self.classes)
        return changes + 1

    def _dropped(self, model: ir.Model, context: Context) -> int:
        outputs = list(model.graph.outputs)
        unknown = [p for p in (*self.keep, *self.drop) if not any(_named(v, [p]) for v in outputs)]
        if unknown:
            names = ", ".join(f"'{value.name}'" for value in outputs)
            raise UsageError(f"no output is named '{unknown[0]}'; there are {names}")
        stay = [value for value in outputs if self._stays(value)]
        if not stay:
            raise UsageError("prune/outputs: no output would be left; keep one")
        gone = [value for value in outputs if not self._stays(value)]
        changes = 0
        for value in gone:
            if context.gate.permit(self.name, value.name or ""):
                model.graph.outputs.remove(value)
                changes += 1
        return changes

    def _stays(self, value: ir.Value) -> bool:
        return (not self.keep or _named(value, self.keep)) and not _named(value, self.drop)

    def _chosen(self, model: ir.Model) -> ir.Value:
        left = [v for v in model.graph.outputs if not self.of or v.name == self.of]
        if len(left) != 1:
            names = ", ".join(f"'{value.name}'" for value in model.graph.outputs)
            raise UsageError(f"whose classes? say of=NAME, one of {names}")
        return left[0]


def _named(value: ir.Value, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(value.name or "", pattern) for pattern in patterns)
