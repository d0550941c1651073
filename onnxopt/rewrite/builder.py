"""Builds what takes a match's place, in ONNX operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context
from onnxopt.shapes import infer_node

AttrValue = int | float | str | Sequence[int] | Sequence[float] | ir.Attr
Operand = ir.Value | np.ndarray | float | int | None


class Builder:
    """Makes nodes by ``op.Name(inputs…, attribute=value)``; they enter the graph when kept.

    A Python number becomes a constant of the type of the first input that is a value, an array a
    constant of its own type.
    """

    def __init__(
        self,
        context: Context,
        home: ir.Graph,
        opset: int,
        names: graph.Names,
        base: str,
        *,
        in_function: bool = False,
    ) -> None:
        self.context = context
        self.opset = opset
        self.nodes: list[ir.Node] = []
        self.domains: set[str] = set()
        self._home = home
        self._names = names
        self._base = base
        self._in_function = in_function
        self._constants: list[ir.Value] = []

    def __getattr__(self, op_type: str) -> Callable[..., ir.Value]:
        if op_type.startswith("_"):
            raise AttributeError(op_type)

        def make(*inputs: Operand, _domain: str = "", **attributes: AttrValue | None) -> ir.Value:
            return self.node(op_type, inputs, attributes, domain=_domain).outputs[0]

        return make

    def node(
        self,
        op_type: str,
        inputs: Sequence[Operand],
        attributes: dict[str, AttrValue | None] | None = None,
        *,
        domain: str = "",
        outputs: int = 1,
    ) -> ir.Node:
        """Make a node with several outputs; attributes that are None are left out."""
        dtype = next((v.dtype for v in inputs if isinstance(v, ir.Value) and v.dtype), None)
        made = ir.Node(
            domain,
            op_type,
            [self._operand(operand, dtype) for operand in inputs],
            [_attribute(k, v) for k, v in (attributes or {}).items() if v is not None],
            num_outputs=outputs,
        )
        self.nodes.append(made)
        self.domains.add(domain)
        infer_node(made)
        return made

    def copy(self, node: ir.Node, inputs: Sequence[Operand]) -> ir.Value:
        """Make a node with the operator and attributes of another and inputs of its own."""
        attributes: dict[str, AttrValue | None] = dict(node.attributes)
        made = self.node(
            node.op_type, inputs, attributes, domain=node.domain, outputs=len(node.outputs)
        )
        return made.outputs[0]

    def constant(self, contents: np.ndarray, dtype: ir.DataType | None = None) -> ir.Value:
        """Make a constant; it is stored only when the rewrite is kept."""
        value = graph.constant(graph.tensor_of(contents, dtype))
        self._constants.append(value)
        return value

    def keep(self, before: ir.Node) -> None:
        """Put the nodes into the graph before a node of it, and their constants."""
        for value in self._constants:
            value.name = self._names.fresh(f"{self._base}_const")
            self._store(value, before)
        for made in self.nodes:
            made.name = self._names.fresh(f"{self._base}_{made.op_type}")
            for output in made.outputs:
                output.name = output.name or self._names.fresh(f"{self._base}_{made.op_type}")
        self._home.insert_before(before, self.nodes)

    def _store(self, value: ir.Value, before: ir.Node) -> None:
        """Keep a constant as an initializer; a function has none, so there it is a node."""
        if not self._in_function:
            self._home.register_initializer(value)
            return
        tensor, value.const_value = value.const_value, None
        attribute = ir.Attr("value", ir.AttributeType.TENSOR, tensor)
        self._home.insert_before(before, ir.Node("", "Constant", (), [attribute], outputs=[value]))

    def drop(self) -> None:
        """Forget everything, leaving the graph as it was."""
        for made in self.nodes:
            graph.detach(made)

    def _operand(self, operand: Operand, dtype: ir.DataType | None) -> ir.Value | None:
        if operand is None or isinstance(operand, ir.Value):
            return operand
        if isinstance(operand, np.ndarray):
            return self.constant(operand)
        kind = dtype or (ir.DataType.FLOAT if isinstance(operand, float) else ir.DataType.INT64)
        return self.constant(np.asarray(operand, dtype=kind.numpy()), kind)


def _attribute(name: str, value: AttrValue) -> ir.Attr:
    return value if isinstance(value, ir.Attr) else ir.convenience.convert_attribute(name, value)
