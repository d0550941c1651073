"""Treat the initializers of an old model as the constants they are."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt.base import Context, Pass

_SEPARATE = 4
"""The first version of the file format in which an initializer need not be a graph input."""


class FreezeInitializers(Pass):
    """List initializers no longer among the inputs, where no runtime lets a caller override them.

    Before version 4 of the file format every initializer had to be an input too. From version 4 on
    such an input is a default which a caller may override; with ``overridable`` it is frozen too.
    """

    overridable: bool = False

    def run(self, model: ir.Model, context: Context) -> int:
        """Take initializers out of the inputs and raise the file format where that needs it."""
        if model.ir_version >= _SEPARATE and not self.overridable:
            return 0
        frozen = [value for value in model.graph.inputs if value.is_initializer()]
        old = model.ir_version < _SEPARATE
        if not (frozen or old) or not context.gate.permit("freeze-initializers", "model"):
            return 0
        for value in frozen:
            model.graph.inputs.remove(value)
        model.ir_version = max(model.ir_version, _SEPARATE)
        return len(frozen) + int(old)
