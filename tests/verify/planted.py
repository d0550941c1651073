"""Models with a thousand places to rewrite, and passes that are wrong in one or two of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnx_ir.passes

from onnxopt.backends.cpu import Cpu
from onnxopt.base import Context, Gate, Observer, Pass
from onnxopt.evaluate import Evaluator
from onnxopt.verify import Work

WIDTH = 4


def evaluator(nodes: int = 2_000, weights: int = 256 << 20) -> Evaluator:
    return Evaluator(
        Cpu(
            threads=1,
            spinning=False,
            arena=False,
            mem_pattern=False,
            prepacking=False,
            optimization="off",
        ),
        nodes,
        weights,
    )


def weight(name: str, array: np.ndarray) -> ir.Value:
    held = ir.tensor(array, name=name)
    shape = ir.Shape(array.shape)
    return ir.Value(name=name, const_value=held, type=ir.TensorType(held.dtype), shape=shape)


def tensor(name: str, dims: Sequence[int | str], dtype: str = "FLOAT") -> ir.Value:
    return ir.val(name, ir.DataType[dtype], list(dims))


def model_of(
    inputs: Sequence[ir.Value], nodes: Sequence[ir.Node], outputs: Sequence[ir.Value]
) -> ir.Model:
    read = {id(v): v for node in nodes for v in node.inputs if v is not None and v.const_value}
    graph = ir.Graph(
        inputs,
        outputs,
        nodes=nodes,
        initializers=list(read.values()),
        opset_imports={"": 18},
        name="planted",
    )
    return ir.Model(graph, ir_version=9)


def chain(length: int) -> ir.Model:
    """Alternate ``x + a_i`` and ``relu``: small steps, so that each place shows at the end."""
    x = tensor("x", ["batch", WIDTH])
    value, nodes = x, []
    for at in range(length):
        step = weight(f"w{at}", np.full(WIDTH, 1e-3 if at % 2 else -1e-3, np.float32))
        out = ir.val(f"v{at}", ir.DataType.FLOAT, ["batch", WIDTH])
        nodes.append(ir.node("Add", [value, step], outputs=[out], name=f"n{at}"))
        value = out
    return model_of([x], nodes, [value])


class SubtractInstead(Pass):
    """``x + a`` becomes ``x - (-a)``; in the places of ``wrong`` the constant is 1e-2 off."""

    wrong: tuple[str, ...] = ()

    def run(self, model: ir.Model, context: Context) -> int:
        count = 0
        for node in list(model.graph):
            value = node.outputs[0]
            name = value.name or ""
            if node.op_type != "Add" or not context.gate.permit("subtract", name):
                continue
            held = node.inputs[1]
            assert held is not None
            assert held.const_value is not None
            off = np.float32(1e-2 if name in self.wrong else 0)
            other = weight(f"{held.name}_negative", -held.const_value.numpy() + off)
            model.graph.register_initializer(other)
            fresh = ir.node("Sub", [node.inputs[0], other], name=node.name)
            replace(model, node, fresh)
            count += 1
        return count


class DropRelu(Pass):
    """``relu(x)`` becomes ``x``, which is right for positive numbers only; ``Abs`` goes rightly."""

    def run(self, model: ir.Model, context: Context) -> int:
        count = 0
        for node in list(model.graph):
            value = node.outputs[0]
            if node.op_type == "Relu" and context.gate.permit("drop", value.name or ""):
                replace(model, node, ir.node("Identity", [node.inputs[0]], name=node.name))
                count += 1
        return count


class Raise(Pass):
    """Fail in the middle of one rewrite."""

    at: str

    def run(self, model: ir.Model, context: Context) -> int:
        for node in model.graph:
            name = node.outputs[0].name or ""
            if context.gate.permit("raise", name) and name == self.at:
                raise KeyError(name)
        return 0


class Break(Pass):
    """Make a model that no runtime takes, in one place."""

    at: str

    def run(self, model: ir.Model, context: Context) -> int:
        count = 0
        for node in list(model.graph):
            name = node.outputs[0].name or ""
            if node.op_type == "Add" and context.gate.permit("break", name):
                kind = "NoSuchOperator" if name == self.at else "Add"
                replace(model, node, ir.node(kind, list(node.inputs), name=node.name))
                count += 1
        return count


class Secret(Pass):
    """Change the model without asking anybody."""

    def run(self, model: ir.Model, context: Context) -> int:
        value = model.graph.initializers["w3"]
        assert value.const_value is not None
        value.const_value = ir.tensor(value.const_value.numpy() + np.float32(1), name="w3")
        return 1


def replace(model: ir.Model, node: ir.Node, fresh: ir.Node) -> None:
    old, new = node.outputs[0], fresh.outputs[0]
    name, new.type, new.shape = old.name, old.type, old.shape
    model.graph.insert_before(node, fresh)
    old.name, new.name = None, name
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    model.graph.remove(node, safe=True)


def work(original: ir.Model, *steps: Pass, path: Path | None = None) -> Work:
    """Run passes as a pipeline does."""

    def run(model: ir.Model, gate: Gate, observers: Sequence[Observer]) -> int:
        context, total = Context(gate=gate), 0
        for step in steps:
            for observer in observers:
                observer.before(step, model)
            gate.scope = step.name
            changes = step.run(model, context)
            total += changes
            for observer in observers:
                observer.after(step, model, changes)
        return total

    return Work(load=original.clone, run=run, path=path)
