"""What rules may believe of a model's outputs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import onnx_ir as ir

from onnxopt import graph
from onnxopt.shapes import infer_node


@contextlib.contextmanager
def undeclared(model: ir.Model) -> Iterator[None]:
    """Give outputs the shapes that follow from their nodes instead of the declared ones.

    Runtimes hold no model to the names in the shapes of its outputs, and exporters write one name
    for extents that differ (the length of a cache before and after a step). Declared numbers fill
    what does not follow. On leaving, the outputs are declared as before.
    """
    home = model.graph
    declared = [value.shape for value in home.outputs]
    made = [value for value in home.outputs if value.producer() is not None]
    claims = {value: graph.dims(value) for value in made}
    for value in made:
        value.shape = None
    makers = {node for value in made if (node := value.producer()) is not None}
    try:
        for node in home if len(makers) > 1 else makers:
            if node in makers:
                infer_node(node)
                for value in node.outputs:
                    if value in claims:
                        value.shape = _filled(graph.dims(value), claims[value])
        yield
    finally:
        for value, shape in zip(home.outputs, declared, strict=True):
            value.shape = shape


_Dims = tuple[int | str | None, ...]


def _filled(inferred: _Dims | None, claimed: _Dims | None) -> ir.Shape | None:
    """Complete an inferred shape by the numbers of a claimed one of the same rank."""
    numbers = None if claimed is None else [d if isinstance(d, int) else None for d in claimed]
    if inferred is None:
        return None if numbers is None else ir.Shape(numbers)
    if numbers is None or len(numbers) != len(inferred):
        return ir.Shape(inferred)
    pairs = zip(inferred, numbers, strict=True)
    return ir.Shape([claim if size is None else size for size, claim in pairs])
