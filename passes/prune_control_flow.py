"""Inputs and outputs of If, Loop and Scan that nothing needs."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from typing import NamedTuple

import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass


class _Places(NamedTuple):
    """Where the states of a loop begin, among its inputs and its body's, and its body's outputs."""

    inputs: int
    outputs: int


_LOOP = _Places(inputs=2, outputs=1)
_SCAN = _Places(inputs=0, outputs=0)


class PruneControlFlow(Pass):
    """Drop outputs of If, Loop and Scan that nothing reads, and state that never changes.

    State of a Loop or Scan that its body hands on untouched is the initial value throughout: the
    body reads that value from outside. State that the body does not read and nobody wants goes.
    """

    def run(self, model: ir.Model, context: Context) -> int:
        """Prune from the inside out, since what a body no longer computes may free more."""
        changes = 0
        for home in reversed(list(graph.graphs(model))):
            for node in list(home):
                if not node.domain and node.op_type in _PRUNERS:
                    changes += _PRUNERS[node.op_type](node, context)
        return changes


def _permit(node: ir.Node, index: int, context: Context) -> bool:
    name = node.outputs[index].name or f"{node.op_type} output {index}"
    return context.gate.permit("prune-control-flow", name)


def _prune_if(node: ir.Node, context: Context) -> int:
    gone = [i for i, value in enumerate(node.outputs) if not graph.used(value)]
    if len(gone) == len(node.outputs):
        return 0
    gone = [i for i in gone if _permit(node, i, context)]
    if gone:
        for branch in graph.subgraphs(node):
            _drop(branch.outputs, gone)
        _rebuild(node, (), gone)
    return len(gone)


def _prune_loop(node: ir.Node, context: Context) -> int:
    body = node.attributes["body"].as_graph()
    return _prune_states(node, body, len(node.inputs) - 2, _LOOP, context)


def _prune_scan(node: ir.Node, context: Context) -> int:
    body = node.attributes["body"].as_graph()
    states = len(body.inputs) - graph.attr_int(node, "num_scan_inputs", 0)
    if len(node.inputs) != len(body.inputs):  # before version 9 the first gives lengths
        return 0
    return _prune_states(node, body, states, _SCAN, context)


def _prune_states(
    node: ir.Node, body: ir.Graph, states: int, places: _Places, context: Context
) -> int:
    """Drop states and what is scanned out, but for the last output."""
    gone_states: list[int] = []
    gone_scans: list[int] = []
    kept = len(node.outputs)
    for index, value in enumerate(node.outputs):
        state = index < states
        removable = _removable(node, body, index, places) if state else not graph.used(value)
        if removable and kept > 1 and _permit(node, index, context):
            kept -= 1
            (gone_states if state else gone_scans).append(index)
    for index in gone_states:
        _settle(node, body, index, places)
    gone = [*gone_states, *gone_scans]
    if gone:
        _drop(body.inputs, [places.inputs + i for i in gone_states])
        _drop(body.outputs, [places.outputs + i for i in gone])
        lists = [
            _without(node, name, [i - states for i in gone_scans]) for name in _PER_SCAN_OUTPUT
        ]
        changed = [attribute for attribute in lists if attribute is not None]
        _rebuild(node, [places.inputs + i for i in gone_states], gone, changed)
    return len(gone)


def _removable(node: ir.Node, body: ir.Graph, index: int, places: _Places) -> bool:
    """Return whether a state never changes, or neither the body nor anybody else reads it."""
    place = places.outputs + index
    entering, leaving = body.inputs[places.inputs + index], graph.origin(body.outputs[place])
    if leaving is entering:
        others = [value for i, value in enumerate(body.outputs) if i != place]
        known = node.inputs[places.inputs + index] is not None
        return known and entering not in others and not node.outputs[index].is_graph_output()
    return not graph.used(node.outputs[index]) and not graph.used(entering)


def _settle(node: ir.Node, body: ir.Graph, index: int, places: _Places) -> None:
    """Let readers of a state that never changes read its initial value."""
    entering, initial = body.inputs[places.inputs + index], node.inputs[places.inputs + index]
    if graph.origin(body.outputs[places.outputs + index]) is entering and initial is not None:
        for user, position in list(entering.uses()):
            user.replace_input_with(position, initial)
        node.outputs[index].replace_all_uses_with(initial)


_PER_SCAN_OUTPUT = ("scan_output_axes", "scan_output_directions")
_PRUNERS = {"If": _prune_if, "Loop": _prune_loop, "Scan": _prune_scan}


def _without(node: ir.Node, name: str, gone: Sequence[int]) -> ir.Attr | None:
    found = graph.attr_ints(node, name)
    if found is None:
        return None
    return ir.AttrInt64s(name, [item for i, item in enumerate(found) if i not in gone])


def _drop(values: MutableSequence[ir.Value], gone: Sequence[int]) -> None:
    for index in sorted(gone, reverse=True):
        values.pop(index)  # del would leave the value marked as a graph's


def _rebuild(
    node: ir.Node,
    gone_inputs: Sequence[int],
    gone_outputs: Sequence[int],
    changed: Sequence[ir.Attr] = (),
) -> None:
    """Put a node without some inputs and outputs in a node's place."""
    home = node.graph
    attributes = dict(node.attributes) | {attribute.name: attribute for attribute in changed}
    kept = [value for i, value in enumerate(node.outputs) if i not in gone_outputs]
    made = ir.Node(
        node.domain,
        node.op_type,
        [value for i, value in enumerate(node.inputs) if i not in gone_inputs],
        list(attributes.values()),
        num_outputs=len(kept),
        name=node.name,
    )
    if isinstance(home, ir.Graph):
        home.insert_before(node, made)
    for old, new in zip(kept, made.outputs, strict=True):
        graph.replace(old, new, fresh=True)
    graph.detach(node)
    if isinstance(home, ir.Graph):
        home.remove(node)
