"""What is computed once, what is left alone, and at what cost."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt import graph, lossless, shapes
from onnxopt.base import Context, Gate
from onnxopt.catalogue import backend
from onnxopt.errors import BackendError
from onnxopt.evaluate import evaluator
from onnxopt.passes.fold_constants import FoldConstants
from onnxopt.target import Feeds, Outputs
from tests.passes.tools import check, model_of, random_feeds, run

EVALUATE = evaluator(backend("cpu{optimization=off}"))


@dataclasses.dataclass
class Counted:
    """Evaluates, counts how often, and refuses some operators."""

    refused: frozenset[str] = frozenset()
    nodes: list[int] = dataclasses.field(default_factory=list)

    def __call__(self, model: ir.Model, feeds: Feeds) -> Outputs:
        self.nodes.append(len(model.graph))
        for node in model.graph:
            if node.op_type in self.refused:
                raise BackendError(f"no kernel for {node.op_type}")
        return EVALUATE(model, feeds)


def fold(
    text: str, counted: Counted | None = None, *, options: FoldConstants | None = None
) -> tuple[list[str], ir.Model]:
    """Fold in a graph; return the operators left in order, and the model."""
    model = model_of(text)
    shapes.infer(model)
    before = ir.to_proto(model)
    step, context = options or FoldConstants(), Context(evaluate=counted or EVALUATE)
    step.run(model, context)
    assert step.run(model, context) == 0
    for size in (2, 3) if graph.opset(model) else ():
        feeds = random_feeds(before, size)
        for name, wanted in run(before, feeds).items():
            np.testing.assert_array_equal(run(ir.to_proto(model), feeds)[name], wanted)
    return [node.op_type for home in graph.graphs(model) for node in home], model


def test_shape_arithmetic_through_a_free_batch() -> None:
    """Only the batch is free: heads and width are known whatever it is."""
    text = """(float[batch,seq,12] x) => (float[batch,seq,3,4] y, float[batch,36] z) {
        zero = Constant<value = int64[1] {0}>() one = Constant<value = int64[1] {1}>()
        two = Constant<value = int64[1] {2}>() three = Constant<value = int64[1] {3}>()
        s = Shape(x) n = Gather(s, zero) t = Gather(s, one) w = Gather(s, two)
        d = Div(w, three) target = Concat<axis=0>(n, t, three, d) y = Reshape(x, target)
        wide = Mul(w, three) flat = Concat<axis=0>(n, wide)
        e = Concat<axis=2>(x, x, x) f = ReduceSum<keepdims=0>(e, one) z = Reshape(f, flat) }"""
    found, model = fold(text)
    assert "Div" not in found
    assert "Mul" not in found
    assert found.count("Gather") == 2
    kept = [graph.ints(value) for node in model.graph for value in node.inputs]
    assert (4,) in kept
    assert (36,) in kept


def test_shape_arithmetic_of_known_shapes_goes() -> None:
    text = """(float[2,3,4] x) => (float[6,4] y) {
        s = Shape(x) zero = Constant<value = int64 {0}>() one = Constant<value = int64 {1}>()
        a = Gather(s, zero) b = Gather(s, one) ab = Mul(a, b) axes = Constant<value_ints=[0]>()
        u = Unsqueeze(ab, axes) m = Constant<value_ints=[-1]>() t = Concat<axis=0>(u, m)
        y = Reshape(x, t) }"""
    found, model = fold(text)
    assert found == ["Reshape"]
    assert graph.ints(model.graph[0].inputs[1]) == (6, -1)


def chain(length: int) -> str:
    body = " ".join(f"w{i + 1} = Sin(w{i})" for i in range(length))
    weight = "<float[4] w0 = {1, 2, 3, 4}>"
    return f"(float[4] x) => (float[4] y) {weight} {{ {body} y = Add(x, w{length}) }}"


@pytest.mark.parametrize("length", [3, 300])
def test_all_is_computed_in_one_run(length: int) -> None:
    counted = Counted()
    found, _ = fold(chain(length), counted)
    assert found == ["Add"]
    assert counted.nodes == [length]


def test_all_is_computed_in_one_run_although_no_shape_is_known() -> None:
    counted = Counted()
    model = model_of(chain(300))
    FoldConstants().run(model, Context(evaluate=counted))
    assert counted.nodes == [300]
    assert [node.op_type for node in model.graph] == ["Add"]


def test_results_together_are_bounded() -> None:
    """Each step doubles, and takes no more than its operands do."""
    body = " ".join(f"w{i + 1} = Concat<axis=0>(w{i}, w{i})" for i in range(40))
    text = (
        f"(float[1] x) => (float[n] y) <float[4] w0 = {{1, 2, 3, 4}}> {{ {body} y = Add(x, w40) }}"
    )
    model = model_of(text)
    shapes.infer(model)
    FoldConstants().run(model, Context(evaluate=EVALUATE))
    assert len(model.graph) > 10
    held = [graph.tensor(value) for value in model.graph.initializers.values()]
    assert sum(tensor.nbytes for tensor in held if tensor is not None) <= 4 << 20


def test_a_node_without_a_kernel_keeps_only_itself() -> None:
    body = " ".join(f"a{i} = Sin(w) b{i} = Cos(a{i}) s{i + 1} = Add(s{i}, b{i})" for i in range(30))
    text = f"""(float[4] x) => (float[4] y) <float[4] w = {{1, 2, 3, 4}}> {{
        s0 = Identity(w) {body} bad = Atan(w) worse = Exp(bad) good = Exp(s30)
        c = Add(x, worse) y = Add(c, good) }}"""
    counted = Counted(refused=frozenset({"Atan"}))
    model = model_of(text)
    shapes.infer(model)
    FoldConstants().run(model, Context(evaluate=counted))
    assert [node.op_type for node in model.graph] == ["Atan", "Exp", "Add", "Add"]
    assert len(counted.nodes) <= 16


def test_growth_is_bounded_in_bytes() -> None:
    weight = f"<float[512,1] c = {{{', '.join(['1'] * 512)}}}>"
    body = "s = Constant<value_ints=[512, 512]>() wide = Expand(c, s) y = Add(x, wide)"
    text = f"(float[512,512] x) => (float[512,512] y) {weight} {{ {body} }}"
    shrunk = FoldConstants(max_growth=1 << 10)
    assert fold(text, options=shrunk)[0] == ["Expand", "Add"]
    assert fold(text, options=FoldConstants(max_growth=1 << 21))[0] == ["Add"]


def bomb(steps: int) -> str:
    """Multiply a list by itself crosswise, again and again; nobody knows how long it is."""
    step = """f{0} = Flatten<axis=0>(p{0}) t{0} = Transpose(f{0}) m{0} = Mul(f{0}, t{0})
        p{1} = Identity(m{0})"""
    body = " ".join(step.format(i, i + 1) for i in range(steps))
    weight = f"<bool[64] w = {{{', '.join(['1'] * 64)}}}>"
    return f"(float[n] x) => (int64 y) {weight} {{ p0 = NonZero(w) {body} y = Size(p{steps}) }}"


@pytest.mark.parametrize("inferred", [True, False])
def test_sizes_that_nobody_knows_do_not_multiply(inferred: bool) -> None:
    """64 numbers, then 64², 64⁴, 64⁸: what is too large is never computed."""
    model = model_of(bomb(3))
    if inferred:
        shapes.infer(model)
    largest = 0

    def watched(part: ir.Model, feeds: Feeds) -> Outputs:
        nonlocal largest
        outputs = EVALUATE(part, feeds)
        largest = max([largest, *(array.nbytes for array in outputs.values())])
        return outputs

    FoldConstants().run(model, Context(evaluate=watched))
    assert largest <= 4 << 20
    held = [graph.tensor(value) for value in model.graph.initializers.values()]
    assert sum(tensor.nbytes for tensor in held if tensor is not None) <= 4 << 20


def test_many_results_that_are_small_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is as large as the weight; without further room they may be 16 times as large."""
    monkeypatch.setattr("onnxopt.passes.fold_constants._ROOM", 0)
    steps = [f"k{i} = Constant<value = float {{{i}}}>() w{i} = Add(w, k{i})" for i in range(40)]
    total = ["t0 = Identity(x)", *(f"t{i + 1} = Add(t{i}, w{i})" for i in range(40))]
    weight = f"<float[1000] w = {{{', '.join(['1'] * 1000)}}}>"
    body = " ".join([*steps, *total, "y = Identity(t40)"])
    model = model_of(f"(float[1000] x) => (float[1000] y) {weight} {{ {body} }}")
    shapes.infer(model)
    FoldConstants().run(model, Context(evaluate=EVALUATE))
    held = [graph.tensor(value) for value in model.graph.initializers.values()]
    assert 10_000 < sum(tensor.nbytes for tensor in held if tensor is not None) < 80_000


def test_quantized_weights_stay() -> None:
    text = """(float[2,2] x) => (float[2,2] y)
        <float[2,2] w = {1, 2, 3, 4}, float s = {0.1}, int8 z = {0}> {
        q = QuantizeLinear(w, s, z) d = DequantizeLinear(q, s, z) y = MatMul(x, d) }"""
    assert fold(text)[0] == ["QuantizeLinear", "DequantizeLinear", "MatMul"]


@pytest.mark.parametrize(
    "body",
    [
        "r = RandomNormal<shape=[4], seed=1.0>() ",
        "r = RandomUniformLike<seed=1.0>(w)",
        "d = Bernoulli<seed=1.0>(w) r = Identity(d)",
    ],
)
def test_random_numbers_stay(body: str) -> None:
    text = f"(float[4] x) => (float[4] y) <float[4] w = {{0, 1, 0, 1}}> {{ {body} y = Add(x, r) }}"
    model = model_of(text)
    before = [node.op_type for node in model.graph]
    FoldConstants().run(model, Context(evaluate=EVALUATE))
    assert [node.op_type for node in model.graph] == before


def test_operators_of_other_domains_stay() -> None:
    text = """(float[4] x) => (float[4] y) <float[4] w = {0, 1, 0, 1}> {
        a = com.microsoft.Gelu(w) b = local.sine(w) c = Add(a, b) y = Add(x, c) }
        <domain: "local", opset_import: ["" : 18]> sine (x) => (y) { y = Sin(x) }"""
    model = model_of(text)
    assert FoldConstants().run(model, Context(evaluate=EVALUATE)) == 0


def test_constants_inside_of_branches() -> None:
    text = """(float[4] x, bool c) => (float[4] y) <float[4] w = {1, 2, 3, 4}> {
        y = If(c) <
            then_branch = t () => (float[4] p) { a = Exp(w) b = Constant<value = float {2}>()
                d = Mul(a, b) p = Add(x, d) },
            else_branch = e () => (float[4] q) <float[4] v = {4, 3, 2, 1}> {
                a2 = Exp(v) q = Sub(x, a2) }> }"""
    found, model = fold(text)
    assert found == ["If", "Sub", "Add"]
    assert all(body.initializers for body in graph.subgraphs(model.graph[0]))


def test_outputs_of_a_graph_stay_made_by_nodes() -> None:
    text = """(float[4] x, bool c) => (float[4] y, float[4] z, float[2] k)
        <float[4] w = {1, 2, 3, 4}> {
        z = Exp(w) y = Add(x, z) k = Constant<value = float[2] {1, 2}>() }"""
    found, model = fold(text)
    assert found == ["Exp", "Add", "Constant"]
    assert [value.name for value in model.graph.outputs] == ["y", "z", "k"]


def test_text_stays() -> None:
    text = """(float[4] x) => (float[4] y, string[2] s, bool[2] same) {
        a = Constant<value_strings=["a", "b"]>() b = Constant<value_strings=["a", "c"]>()
        s = StringConcat(a, b) same = Equal(a, b) y = Exp(x) }"""
    model = model_of(text, opset=20)
    FoldConstants().run(model, Context(evaluate=EVALUATE))
    assert [node.op_type for node in model.graph][-3:] == ["StringConcat", "Equal", "Exp"]


def test_tensors_of_no_elements() -> None:
    text = """(float[n,4] x) => (float[n,4] y) <float[0,4] w = {}> {
        e = Exp(w) f = Concat<axis=0>(e, e) y = Concat<axis=0>(x, f) }"""
    found, model = fold(text)
    assert found == ["Concat"]
    assert graph.static(model.graph[0].inputs[1]) == (0, 4)


def test_sequences_stay_and_what_is_taken_from_them_too() -> None:
    text = """(float[2] x) => (float[2] y, seq(float[2]) s) <float[4] w = {1, 2, 3, 4}> {
        v = Exp(w) two = Constant<value = int64 {2}>() one = Constant<value = int64 {1}>()
        s = SplitToSequence<axis=0>(v, two) inner = SplitToSequence<axis=0>(v, two)
        part = SequenceAt(inner, one) y = Add(x, part) }"""
    model = model_of(text)
    shapes.infer(model)
    before = ir.to_proto(model)
    FoldConstants().run(model, Context(evaluate=EVALUATE))
    feeds = random_feeds(before, 2)
    wanted, got = run(before, feeds), run(ir.to_proto(model), feeds)
    np.testing.assert_array_equal(got["y"], wanted["y"])
    assert "SplitToSequence" in [node.op_type for node in model.graph]


def test_defaults_of_inputs_are_not_constant() -> None:
    text = """(float[4] x, float[4] w) => (float[4] y) <float[4] w = {1, 2, 3, 4}> {
        e = Exp(w) y = Add(x, e) }"""
    model = model_of(text)
    assert FoldConstants().run(model, Context(evaluate=EVALUATE)) == 0


def test_a_limit_makes_the_first_folds_and_no_others() -> None:
    model = model_of(chain(10))
    shapes.infer(model)
    gate = Gate(limit=4)
    assert FoldConstants().run(model, Context(evaluate=EVALUATE, gate=gate)) == 4
    assert [site.value for site in gate.applied] == ["w1", "w2", "w3", "w4"]
    assert [node.op_type for node in model.graph] == ["Sin"] * 6 + ["Add"]


def test_several_outputs_of_which_some_are_used() -> None:
    text = """(float[2] x) => (float[2] y) <float[4] w = {4, 1, 3, 2}> {
        k = Constant<value_ints=[2]>() best, where = TopK(w, k) y = Add(x, best) }"""
    assert fold(text)[0] == ["Add"]


def test_half_precision_is_computed_as_it_is_written() -> None:
    check(
        """(float16[2] x) => (float16[2] y) <float16[2] w = {14336, 15360}> {
        e = Exp(w) f = Mul(e, e) y = Add(x, f) }""",
        "fold-constants",
        ["Add"],
        tolerance=1e-3,
    )


def test_a_shape_that_only_the_file_states_does_not_let_a_file_grow() -> None:
    """A stale size of one element on what has eight million: the default pipeline leaves it."""
    sizes = "s = Constant<value = int64[1] {8000000}>() w = Constant<value = float[1] {2}>()"
    text = f"(float[n] x) => (float[n] y) {{ {sizes} e = Expand(w, s) y = Add(x, e) }}"
    made = model_of(text)
    large = next(node for node in made.graph if node.op_type == "Expand").outputs[0]
    large.shape, large.type = ir.Shape([1]), ir.TensorType(ir.DataType.FLOAT)
    found, _ = lossless.run(made, lossless.Request())
    assert graph.weight_bytes(found) < 1000
