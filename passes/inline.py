"""Functions become the nodes they are made of."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt.base import Context, Pass


class Inline(Pass):
    """Replace every call of a function of the model by the function's nodes."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Inline with onnx-ir's pass; return the number of calls."""
        if not model.functions or not context.gate.permit("inline", "model"):
            return 0
        from onnx_ir.passes.common import InlinePass

        before = len(model.functions)
        InlinePass()(model)
        model.functions.clear()
        return before
