"""Functions become the nodes they are made of."""

from __future__ import annotations

import onnx_ir as ir

from onnxopt.base import Context, Pass
from onnxopt.functions import inlinable, inline


class Inline(Pass):
    """Replace every call of a function of the model by the function's nodes.

    A function that imports another version of an operator set than the model stays, for its nodes
    would mean something else outside of it; so do the functions that it calls.
    """

    def run(self, model: ir.Model, context: Context) -> int:
        """Inline with onnx-ir's pass; return the number of functions that went."""
        gone = inlinable(model)
        if not gone or not context.gate.permit("inline", "model"):
            return 0
        inline(model, gone)
        return len(gone)
