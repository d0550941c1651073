"""Infer the shapes of all values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxopt.base import Context, Pass

if TYPE_CHECKING:
    import onnx_ir as ir


class InferShapes(Pass):
    """Annotate every value with the type and shape that follow from the inputs.

    Stale annotations inside of the graph are replaced; those of its inputs and outputs stay. The
    count is that of changed annotations; the whole run is one rewrite, at the first value changed.
    Where inference stops and why is left in ``model.meta["onnxopt.stops"]``, a sentence a node.
    """

    def run(self, model: ir.Model, context: Context) -> int:
        """Infer, and write what differs from what the model says."""
        from onnxopt.shapes import analyse

        inference = analyse(model)
        model.meta["onnxopt.stops"] = [str(stop) for stop in inference.stops]
        if not inference.changed:
            return 0
        if not context.gate.permit(self.name, inference.changes[0].value.name or ""):
            return 0
        inference.apply()
        return inference.changed
