"""Cutting compared with zeroing: both are computed by ONNX Runtime with its optimizer off."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from onnxopt import graph
from onnxopt.costs.count import name_of
from onnxopt.coupling import Coupling, Group, couple, cut
from onnxopt.shapes import analyse
from onnxopt.shapes.engine import Engine

_DIVIDING = ("Div", "Mod", "Pow")
Feeds = Mapping[str, np.ndarray]


def run(model: ir.Model, feeds: Feeds) -> list[np.ndarray]:
    """Return the outputs of a model that the checker accepts."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(proto.SerializeToString(), options)
    return list(session.run(None, feeds))


def free(coupling: Coupling) -> list[Group]:
    """Return the groups that may shrink."""
    return [group for group in coupling.groups if group.blocked is None]


def choose(groups: Iterable[Group], seed: int = 0) -> dict[str, np.ndarray]:
    """Keep about half of the units of each group, at least one, at random."""
    random = np.random.default_rng(seed)
    keep = {}
    for group in groups:
        count = int(random.integers(1, group.units)) if group.units > 1 else 1
        keep[group.name] = np.sort(random.choice(group.units, count, replace=False))
    return keep


def plant(model: ir.Model, groups: Iterable[Group], keep: Mapping[str, np.ndarray]) -> None:
    """Set every number of the units that are not kept to zero, in all constants."""
    for group in groups:
        gone = np.setdiff1d(np.arange(group.units), keep[group.name])
        for member in group.members:
            held = graph.tensor(member.value)
            if member.node is None or held is None or not gone.size:
                continue
            if member.node.op_type in _DIVIDING and member.node.inputs[1] is member.value:
                continue
            contents = np.moveaxis(held.numpy().copy(), member.axis, 0)
            contents[member.positions[gone].ravel()] = 0
            hold(member.value, np.moveaxis(contents, 0, member.axis))


def hold(value: ir.Value, contents: np.ndarray) -> None:
    """Give a constant other contents."""
    held = graph.tensor_of(contents)
    producer = value.producer()
    if producer is None:
        value.const_value = held
    else:
        producer.attributes["value"] = ir.AttrTensor("value", held)


SUMS = ("LpNormalization", "ReduceL1", "ReduceL2", "ReduceSum", "ReduceSumSquare")
"""To these units that are zero add nothing."""


def restrict(model: ir.Model, keep: Mapping[str, np.ndarray]) -> ir.Model:
    """Let means over axes, of which units are zero, count only the other units.

    ``scale * (x - mean) / sqrt(var + eps) + shift`` over the last axis is written out with a mask
    of 0 and 1; a mean alone is that of the masked numbers, times their count over that of the ones.
    """
    engine = analyse(model).memo.engine
    masks: dict[str, list[tuple[int, np.ndarray]]] = {}
    nodes = {name_of(node): node for node in model.graph}
    for group in free(couple(model)):
        gone = np.setdiff1d(np.arange(group.units), keep[group.name])
        for name in group.normalised:
            if nodes[name].op_type in SUMS:
                continue
            masks.setdefault(name, []).extend(
                (member.axis, member.positions[gone].ravel())
                for member in group.members
                if member.value is nodes[name].inputs[0]
            )
    made = {name: _mask(engine, nodes[name], found) for name, found in masks.items()}
    for name, mask in made.items():
        _masked(nodes[name], mask)
    return model


def _mask(engine: Engine, node: ir.Node, gone: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """Return 1 where a position of the axis stays, else 0; it broadcasts to the first input."""
    assert node.inputs[0] is not None
    shape, axis = engine.fact(node.inputs[0]).shape or (), gone[0][0]
    mask = np.ones(int(str(shape[axis])), np.float32)
    mask[np.concatenate([positions for _, positions in gone])] = 0
    return mask.reshape(-1, *[1] * (len(shape) - axis - 1))


def _masked(node: ir.Node, mask: np.ndarray) -> None:
    """Write a normalisation out, with means over the positions of a mask."""
    home, made = node.graph, itertools.count()
    assert isinstance(home, ir.Graph)

    def const(contents: np.ndarray) -> ir.Value:
        value = graph.constant(contents, f"{node.name}_masked_{next(made)}")
        home.register_initializer(value)
        return value

    def op(kind: str, *inputs: ir.Value | None) -> ir.Value:
        new = ir.node(kind, inputs, num_outputs=1)
        new.outputs[0].name = f"{node.name}_masked_{next(made)}"
        home.insert_before(node, new)
        return new.outputs[0]

    share, last = const(mask), const(np.array([-1]))
    if node.op_type == "ReduceMean":
        whole = const(np.float32(mask.size / mask.sum()).reshape(1))
        masked = op("Mul", op("Mul", node.inputs[0], share), whole)
        node.replace_input_with(0, masked)
        return
    count = const(np.float32(mask.sum()).reshape(1))
    x = op("Mul", node.inputs[0], share)
    if node.op_type == "LayerNormalization":
        x = op("Mul", op("Sub", x, op("Div", op("ReduceSum", x, last), count)), share)
    spread = op("Div", op("ReduceSum", op("Mul", x, x), last), count)
    epsilon = const(np.array([graph.attr_float(node, "epsilon", 1e-5)], np.float32))
    y = op("Mul", op("Div", x, op("Sqrt", op("Add", spread, epsilon))), node.inputs[1])
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        y = op("Add", y, node.inputs[2])
    node.outputs[0].replace_all_uses_with(y, replace_graph_outputs=True)


def assert_exact(model: ir.Model, feeds: Feeds, seed: int = 0) -> list[Group]:
    """Cut planted zeros out of every group; the outputs stay. Returns the groups."""
    groups = free(couple(model))
    keep = choose(groups, seed)
    plant(model, groups, keep)
    before = run(restrict(model.clone(), keep), feeds)
    removed = cut(model, keep)
    assert removed == sum(group.units - len(keep[group.name]) for group in groups)
    for old, new in zip(before, run(model, feeds), strict=True):
        assert old.shape == new.shape
        np.testing.assert_allclose(new, old, rtol=1e-3, atol=1e-4 * max(1, np.abs(old).max()))
    return groups
