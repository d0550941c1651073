"""A newer version of the operator set, the weights where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.checker
import onnx_ir as ir
import pytest
from onnx.version_converter import convert_version

from onnxopt import graph, io
from onnxopt.base import Context
from onnxopt.errors import ModelError, UsageError
from onnxopt.passes._unchanged import unchanged
from onnxopt.pipeline import Pipeline
from tests.contract.graphs import graphs
from tests.passes.tools import model_of, random_feeds, run

ALL = graphs()

GRAPHS = {
    "elementwise": (
        7,
        """(float[n,64] x, float[64,64] w) => (float[n,64] y) {
        a = MatMul(x, w) b = Dropout(a) c = Softmax<axis=1>(b) y = Add(c, x) }""",
    ),
    "normalization": (
        7,
        """(float[n,8,6,6] x, float[8] s, float[8] b, float[8] m, float[8] v, float[8,8,3,3] w)
        => (float[n,8,6,6] y) {
        a = BatchNormalization(x, s, b, m, v) c = Relu(a) y = Conv<pads=[1,1,1,1]>(c, w) }""",
    ),
    "shapes": (
        9,
        """(float[n,64] x, float[64,64] w, float[64] k) => (float[64,n] y) {
        a = Gemm<transB=1>(x, w, k) b = Unsqueeze<axes=[0]>(a) c = Squeeze<axes=[0]>(b)
        d = Clip<min=0.0, max=1.0>(c) e = Slice<axes=[1], starts=[0], ends=[100]>(d)
        f = ReduceSum<axes=[1], keepdims=1>(e) g = Sub(e, f) y = Transpose(g) }""",
    ),
    "branches": (
        11,
        """(float[n,64] x, float[64,64] w, bool c) => (float[n,64] y) {
        y = If(c) <
            then_branch = t () => (float[n,64] p) { a = MatMul(x, w) p = Clip(a) },
            else_branch = e () => (float[n,64] q) { q = Relu(x) }> }""",
    ),
}


def made(name: str) -> ir.Model:
    """Return a graph in which every input of known shape, but for conditions, is a weight."""
    opset, text = GRAPHS[name]
    model = model_of(text, opset=opset)
    random = np.random.default_rng(0)
    for value in list(model.graph.inputs)[1:]:
        shape = graph.static(value)
        if shape:
            model.graph.inputs.remove(value)
            value.const_value = ir.tensor(random.uniform(0.5, 1, shape).astype(np.float32))
            model.graph.register_initializer(value)
    return model


def interface(model: ir.Model) -> list[tuple[object, ...]]:
    return [(v.name, v.type, graph.dims(v)) for v in (*model.graph.inputs, *model.graph.outputs)]


@pytest.mark.parametrize("to", [13, 18, 21])
@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_keep_their_numbers_and_weights(name: str, to: int) -> None:
    model = made(name)
    weights = {name: value.const_value for name, value in model.graph.initializers.items()}
    before = ir.to_proto(model)
    face = interface(model)
    assert Pipeline.parse(f"raise-opset{{to={to}}}").run(model, Context()) == 1
    assert Pipeline.parse(f"raise-opset{{to={to}}}").run(model, Context()) == 0
    assert graph.opset(model) == to
    after = ir.to_proto(model)
    onnx.checker.check_model(after, full_check=True)
    assert interface(model) == face
    for called, tensor in weights.items():
        kept = model.graph.initializers[called].const_value
        assert tensor is not None
        assert kept is tensor or tensor.nbytes < 1024
    for size in (2, 3):
        feeds = random_feeds(before, size)
        expected, got = run(before, feeds), run(after, feeds)
        for output, wanted in expected.items():
            np.testing.assert_allclose(got[output], wanted, rtol=1e-5, atol=1e-5)


def test_a_newer_model_stays() -> None:
    model = model_of("(float[n] x) => (float[n] y) { y = Exp(x) }", opset=20)
    assert Pipeline.parse("raise-opset{to=13}").run(model, Context()) == 0
    assert graph.opset(model) == 20


def test_custom_operators_and_functions_are_carried_along() -> None:
    text = """(float[n] x) => (float[n] y) {
        a = com.microsoft.Gelu(x) b = local.f(a) y = Clip<max=1.0>(b) }
        <domain: "local", opset_import: ["" : 9]> f (x) => (y) { y = Exp(x) }"""
    model = model_of(text, opset=9)
    model.opset_imports.update({"local": 1, "com.microsoft": 1})
    assert Pipeline.parse("raise-opset{to=20}").run(model, Context()) == 1
    assert [node.op_type for node in model.graph][:2] == ["Gelu", "f"]
    assert list(model.functions) == [("local", "f", "")]
    assert model.opset_imports["com.microsoft"] == 1


def test_a_version_that_does_not_exist() -> None:
    model = model_of("(float[n] x) => (float[n] y) { y = Exp(x) }", opset=9)
    with pytest.raises(UsageError, match="operator set 999: the newest that the installed onnx"):
        Pipeline.parse("raise-opset{to=999}").run(model, Context())


def test_what_cannot_be_raised_is_one_line_and_leaves_the_model() -> None:
    text = """(float[1,2,2] x, float[2,2] s) => (float[1,2,2] y) {
        y = BatchNormalization<spatial=0>(x, s, s, s, s) }"""
    model = model_of(text, opset=7)
    weight = graph.constant(np.zeros(512, np.float32), "w")
    model.graph.register_initializer(weight)
    with pytest.raises(ModelError, match="cannot raise the operator set from 7 to 13") as raised:
        Pipeline.parse("raise-opset{to=13}").run(model, Context())
    assert str(raised.value).endswith("to 13: Attribute spatial must have value 1")
    assert model.graph.initializers["w"] is weight
    assert [value.name for value in model.graph.inputs] == ["x", "s"]


def test_small_weights_in_a_data_file_come_along(tmp_path: Path) -> None:
    model = made("normalization")
    path = tmp_path / "model.onnx"
    onnx.save(
        ir.to_proto(model),
        path,
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=0,
    )
    loaded = io.load(path)
    assert Pipeline.parse("raise-opset{to=20}").run(loaded, Context()) == 1
    raised = io.to_whole_proto(loaded)
    feeds = random_feeds(raised, 2)
    np.testing.assert_allclose(
        run(raised, feeds)["y"], run(ir.to_proto(model), feeds)["y"], rtol=1e-6
    )


def _plain(name: str) -> bool:
    """Whether a graph is of the operator set alone, and of an older one."""
    model = io.from_proto(ALL[name])
    own = all(not n.domain and not list(graph.subgraphs(n)) for n in model.graph)
    return own and not model.functions and 13 <= graph.opset(model) < 20


@pytest.mark.parametrize("name", [name for name in ALL if _plain(name)])
def test_nodes_that_stay_are_those_that_the_converter_leaves(name: str) -> None:
    model = io.from_proto(ALL[name])
    if not unchanged(model, 20):
        return
    converted = convert_version(ir.to_proto(model), 20)
    found = [(n.op_type, list(n.input), list(n.output)) for n in converted.graph.node]
    kept = [(n.op_type, list(n.input), list(n.output)) for n in ir.to_proto(model).graph.node]
    assert found == kept


@pytest.mark.parametrize(
    ("node", "stays"),
    [
        ("y = Relu(x)", True),
        ("y = Identity(x)", True),
        ("y = ReduceMax<axes=[0]>(x)", False),  # axes become an input in set 18
        ("y = Cast<to=1>(x)", True),
    ],
)
def test_what_is_defined_anew_is_converted(node: str, stays: bool) -> None:
    model = model_of(f"(float[4,4] x) => (float[N,M] y) {{ {node} }}", opset=17)
    assert unchanged(model, 20) is stays
    assert Pipeline.parse("raise-opset{to=20}").run(model, Context()) == 1
    assert graph.opset(model) == 20
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
