"""Sizes that a graph computes but that are known: they must not follow what is cut."""

from __future__ import annotations

from collections.abc import Container

import onnx_ir as ir

from onnxopt import graph
from onnxopt.shapes import Memo, known_value
from onnxopt.shapes.engine import Engine


def freeze(
    home: ir.Graph, engine: Engine, names: graph.Names, shrinking: Container[ir.Value]
) -> None:
    """Put constants in place of integers that are known and go where they are not.

    An extent of an axis that shrinks may count in a formula: it does so with its old value.
    Tensors that are ``shrinking`` themselves stay.
    """
    memo = Memo(engine)
    made: dict[ir.Value, ir.Value] = {}
    for node in list(home):
        if all(known_value(value, memo) is not None for value in node.outputs):
            continue
        for index, value in enumerate(node.inputs):
            if value is None or value in shrinking or engine.constant(value) is not None:
                continue
            contents = known_value(value, memo)
            if contents is None:
                continue
            if value not in made:
                made[value] = graph.constant(contents, names.fresh(f"{value.name}_known"))
                home.register_initializer(made[value])
            node.replace_input_with(index, made[value])
    producers = [value.producer() for value in made]
    graph.remove_dead(node for node in producers if node is not None)
