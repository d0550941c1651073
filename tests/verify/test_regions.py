"""Large models are compared only where they differ."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt.base import Gate
from onnxopt.target import Feeds, Outputs
from onnxopt.verify import Check, original, run_verified
from onnxopt.verify.numbers import Tolerance
from onnxopt.verify.regions import check
from tests.verify.planted import (
    DropRelu,
    SubtractInstead,
    chain,
    evaluator,
    model_of,
    tensor,
    weight,
    work,
)


class Counting:
    """Counts the nodes that are run."""

    def __init__(self) -> None:
        self.nodes = 0
        self._inner = evaluator()

    def __call__(self, model: ir.Model, feeds: Feeds) -> Outputs:
        self.nodes += len(model.graph)
        return self._inner(model, feeds)


def layers(count: int, relu: bool = True) -> ir.Model:
    """``relu(x @ w_i + b_i)``, with weights of more than 4 KiB each."""
    rng = np.random.default_rng(0)
    x = tensor("x", ["batch", 64])
    value, nodes = x, []
    for at in range(count):
        w = weight(f"w{at}", rng.standard_normal((64, 64)).astype(np.float32) / 8)
        b = weight(f"b{at}", rng.standard_normal(64).astype(np.float32))
        product, total = tensor(f"p{at}", ["batch", 64]), tensor(f"t{at}", ["batch", 64])
        nodes.append(ir.node("MatMul", [value, w], outputs=[product]))
        nodes.append(ir.node("Add", [product, b], outputs=[total]))
        value = total
        if relu:
            value = tensor(f"r{at}", ["batch", 64])
            nodes.append(ir.node("Relu", [total], outputs=[value]))
    return model_of([x], nodes, [value])


def rewritten(model: ir.Model, *steps: SubtractInstead | DropRelu) -> ir.Model:
    after = model.clone()
    work(model, *steps).run(after, Gate(), ())
    return after


def test_equal_graphs_need_no_run() -> None:
    model, count = layers(20), Counting()
    verdict = check(model, model.clone(), count, Tolerance.of(model))
    assert count.nodes == 0
    assert verdict.proved == 60
    assert not verdict.comparison.mismatches


def test_only_what_changed_is_run_on_its_nearest_values() -> None:
    model, count = layers(20), Counting()
    verdict = check(model, rewritten(model, SubtractInstead()), count, Tolerance.of(model))
    assert verdict.evaluated == 20
    assert count.nodes == 40
    assert not verdict.whole
    assert not verdict.comparison.mismatches


def test_regions_that_differ_in_large_weights_only_are_run_once() -> None:
    model, count = layers(20, relu=False), Counting()
    after = model.clone()
    for node in list(after.graph):
        if node.op_type == "MatMul":
            fresh = ir.node("Gemm", list(node.inputs))
            after.graph.insert_before(node, fresh)
            name, node.outputs[0].name = node.outputs[0].name, None
            fresh.outputs[0].name = name
            node.outputs[0].replace_all_uses_with(fresh.outputs[0])
            after.graph.remove(node, safe=True)
    verdict = check(model, after, count, Tolerance.of(model))
    assert verdict.evaluated + verdict.alike == 20
    assert verdict.evaluated <= 2  # the first reads the model's input
    assert not verdict.comparison.mismatches


def test_a_wrong_region_shows_from_end_to_end() -> None:
    model = layers(8)
    after = rewritten(model, SubtractInstead(wrong=("t3",)))
    verdict = check(model, after, evaluator(), Tolerance.of(model))
    assert verdict.whole
    assert verdict.comparison.mismatches


def test_a_rewrite_that_holds_only_in_its_context_is_right() -> None:
    x = tensor("x", ["batch", 8])
    a, b, y = (tensor(name, ["batch", 8]) for name in "aby")
    nodes = [
        ir.node("Abs", [x], outputs=[a]),
        ir.node("Relu", [a], outputs=[b]),
        ir.node("Exp", [b], outputs=[y]),
    ]
    model = model_of([x], nodes, [y])
    verdict = check(model, rewritten(model, DropRelu()), evaluator(), Tolerance.of(model))
    assert not verdict.comparison.mismatches
    assert not verdict.whole


def test_the_search_works_on_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(original, "LARGE", 1)
    steps = work(layers(30), SubtractInstead(wrong=("t17",)))
    outcome = run_verified(steps, Check(evaluate=evaluator()))
    assert [fault.site.value for fault in outcome.quarantined] == ["t17"]
    assert sum(node.op_type == "Sub" for node in outcome.model.graph) == 29


def test_a_long_chain_is_numbered_in_linear_time() -> None:
    model = chain(300)
    verdict = check(model, rewritten(model, SubtractInstead()), evaluator(), Tolerance.of(model))
    assert verdict.evaluated <= 4  # the constants are of two kinds, the input and the output differ
    assert verdict.evaluated + verdict.alike == 300


def test_regions_stay_small_where_the_file_states_no_shapes() -> None:
    model = layers(8)
    after = model.clone()
    for graph in (model.graph, after.graph):
        for node in graph:
            for value in node.outputs:
                if not value.is_graph_output():
                    value.type = value.shape = None
    for node in list(after.graph):
        if node.op_type == "Add":
            left, right = node.inputs
            node.replace_input_with(0, right)
            node.replace_input_with(1, left)
    counting = Counting()
    verdict = check(model, after, counting, Tolerance())
    assert not verdict.comparison.mismatches
    assert not verdict.whole
    assert counting.nodes <= 2 * len(after.graph)
