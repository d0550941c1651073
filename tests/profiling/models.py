"""Small models with random weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from tests.passes.tools import model_of


def with_weights(
    text: str, shapes: Mapping[str, tuple[int, ...]], kind: type = np.float32
) -> ir.Model:
    """Read a graph as text, and make weights of the names that nothing in it computes."""
    model = model_of(text)
    rng = np.random.default_rng(0)
    for name, shape in shapes.items():
        array: np.ndarray = (rng.standard_normal(shape) * (100 if kind is np.int8 else 1)).astype(
            kind
        )
        held = ir.tensor(array, name=name)
        values = {v for node in model.graph for v in node.inputs if v and v.name == name}
        weight = ir.Value(
            name=name,
            const_value=held,
            type=ir.TensorType(held.dtype),
            shape=ir.Shape(shape),
        )
        for value in values:
            value.replace_all_uses_with(weight)
        model.graph.register_initializer(weight)
    return model
