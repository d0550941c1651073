"""What inference makes of whole models: interface, stale annotations, stops, costs."""

from __future__ import annotations

import gc
import time

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt import shapes
from onnxopt.base import Context, Gate, Site
from onnxopt.passes.infer_shapes import InferShapes
from tests.shapes.models import parse, value


def shape_of(text: str, name: str) -> str:
    model = parse(text)
    shapes.infer(model)
    return str(value(model, name).shape)


def test_a_minus_one_is_solved_by_dividing_polynomials() -> None:
    text = """g (float[b, s, 12] x) => (float[p, q, r] y) {
        i = Constant <value_ints = [0, -1, 4]> ()
        t = Reshape(x, i)
        y = Identity(t)
    }"""
    assert shape_of(text, "t") == "[b,3*s,4]"


def test_contents_flow_from_shape_to_reshape() -> None:
    text = """g (float[b, 3, h, w] x) => (y) {
        s = Shape(x)
        zero = Constant <value_ints = [0]> ()
        two = Constant <value_ints = [2]> ()
        four = Constant <value_ints = [4]> ()
        n = Slice(s, zero, two)
        hw = Slice(s, two, four)
        area = ReduceProd <keepdims = 1> (hw)
        target = Concat <axis = 0> (n, area)
        y = Reshape(x, target)
    }"""
    model = parse(text)
    inference = shapes.infer(model)
    assert str(value(model, "y").shape) == "[b,3,h*w]"
    assert inference.stops == ()
    content = shapes.symbolic_value(value(model, "target"))
    assert [str(item) for item in content or ()] == ["b", "3", "h*w"]


def test_a_stale_annotation_is_replaced_and_counted() -> None:
    text = """g (float[b, 4] x) => (float[b, 4] y) <float[1, 4] t, float[b, 4] u> {
        t = Relu(x)
        u = Relu(t)
        y = Relu(u)
    }"""
    model = parse(text)
    inference = shapes.infer(model)
    assert [item.value.name for item in inference.changes] == ["t"]
    assert str(value(model, "t").shape) == "[b,4]"


def test_an_annotation_that_knows_more_is_kept_and_used() -> None:
    text = """g (float[a, b] x) => (y) <int64[2, 7] t> {
        t = NonZero(x)
        y = Transpose(t)
    }"""
    model = parse(text)
    assert shapes.infer(model).stops == ()
    assert str(value(model, "y").shape) == "[7,2]"


def test_the_interface_stays_as_it_is() -> None:
    text = """g (float[b, 3] x, float[m, 3] z) => (float[rows, 3] y, float[9] wrong) {
        y = Relu(x)
        wrong = Relu(z)
    }"""
    model = parse(text)
    assert shapes.infer(model).changed == 0
    assert [str(v.shape) for v in model.graph.outputs] == ["[rows,3]", "[9]"]
    assert [str(v.shape) for v in model.graph.inputs] == ["[b,3]", "[m,3]"]


def test_an_output_without_a_shape_gets_one() -> None:
    model = parse("g (float[b, 3] x) => (y) { y = Relu(x) }")
    model.graph.outputs[0].shape = None
    model.graph.outputs[0].type = None
    shapes.infer(model)
    assert str(model.graph.outputs[0].shape) == "[b,3]"
    assert model.graph.outputs[0].dtype is ir.DataType.FLOAT


DEFAULTED = """<ir_version: {version}, opset_import: ["": 8]>
g (float[2, 6] x, int64[2] target) => (y)
<int64[2] target = {{3, 4}}> {{ y = Reshape(x, target) }}"""


@pytest.mark.parametrize(("version", "known"), [(3, "[3,4]"), (4, "[None,None]")])
def test_an_input_with_a_default_is_constant_only_in_old_models(version: int, known: str) -> None:
    assert shape_of(DEFAULTED.format(version=version), "y") == known


def test_stops_tell_first_causes_only() -> None:
    text = """g (float[b, 4] x) => (y) {
        t = NonZero(x)
        u = Transpose(t)
        v = Cast <to = 1> (u)
        w = Slower(v)
        y = Add(w, w)
    }"""
    inference = shapes.infer(parse(text))
    assert [str(stop) for stop in inference.stops] == [
        "NonZero '': how many elements are nonzero is only known from the data.",
        "Slower '': operator Slower is unknown.",
    ]


def test_an_unknown_operator_stops() -> None:
    model = parse("g (float[b, 4] x) => (y) { t = com.microsoft.Nothing(x) \n y = Relu(t) }")
    (stop,) = shapes.infer(model).stops
    assert stop.reason == "operator com.microsoft::Nothing is unknown"


def test_shapes_that_contradict_stop() -> None:
    model = parse("g (float[2, 3] x, float[4, 5] z) => (y) { y = MatMul(x, z) }")
    (stop,) = shapes.infer(model).stops
    assert stop.reason == "3 columns meet 4 rows"


def test_a_call_of_a_function_stops() -> None:
    text = """<ir_version: 8, opset_import: ["": 17, "local": 1]>
    g (float[b, 4] x) => (y) { t = local.twice(x) \n y = Relu(t) }
    <domain: "local", opset_import: ["": 17]> twice (a) => (c) { c = Add(a, a) }"""
    (stop,) = shapes.infer(parse(text)).stops
    assert stop.reason == "it calls a function of the model's own, which is to be inlined first"


def test_an_empty_axis_stays_possible() -> None:
    text = """g (float[b, s] x) => (y, z) {
        one = Constant <value_ints = [1]> ()
        end = Constant <value_ints = [9223372036854775807]> ()
        y = Slice(x, one, end, one)
        last = Constant <value_ints = [-1]> ()
        z = Slice(x, last, end, one)
    }"""
    assert shape_of(text, "y") == "[b,max(0, s - 1)]"
    assert shape_of(text, "z") == "[b,min(1, s)]"


def test_unnamed_extents_of_inputs_are_still_equal_to_themselves() -> None:
    text = """g (float[?, ?, 8] x) => (y) {
        s = Shape(x)
        y = Reshape(x, s)
        z = Add(x, y)
    }"""
    model = parse(text)
    inference = shapes.infer(model)
    assert inference.stops == ()
    assert str(value(model, "z").shape) == "[None,None,8]"


def test_a_branch_sees_outer_values_and_what_both_share_is_known() -> None:
    text = """g (float[b, 4] x, bool c) => (y) {
        t = Relu(x)
        y = If (c) <
            then_branch = one () => (p) { p = Concat <axis = 0> (t, t) },
            else_branch = two () => (q) { q = Sigmoid(t) }
        >
    }"""
    model = parse(text)
    inference = shapes.infer(model)
    assert str(value(model, "y").shape) == "[None,4]"
    assert [stop.reason for stop in inference.stops] == ["its branches give different shapes"]


def test_a_known_condition_takes_one_branch() -> None:
    text = """g (float[b, 4] x) => (y) {
        r = Shape(x)
        n = Size(r)
        two = Constant <value_int = 2> ()
        c = Equal(n, two)
        y = If (c) <
            then_branch = one () => (p) { p = Concat <axis = 0> (x, x) },
            else_branch = two () => (q) { q = Sigmoid(x) }
        >
    }"""
    assert shape_of(text, "y") == "[2*b,4]"


LOOP = """g (float[b, 4] x, int64 n) => (y, z) {{
    go = Constant <value_int = 1> ()
    on = Cast <to = 9> (go)
    y, z = Loop (n, on, x) <body = body (int64 i, bool c, float[1, 1] s) => (c2, s2, o) {{
        c2 = Identity(c)
        s2 = {step}
        o = Relu(s)
    }}>
}}"""


def test_a_loop_keeps_what_each_turn_keeps() -> None:
    model = parse(LOOP.format(step="Relu(s)"))
    shapes.infer(model)
    assert str(value(model, "y").shape) == "[b,4]"
    assert str(value(model, "z").shape) == "[None,b,4]"


def test_a_loop_forgets_what_a_turn_changes() -> None:
    model = parse(LOOP.format(step="Concat <axis = 0> (s, s)"))
    shapes.infer(model)
    assert str(value(model, "y").shape) == "[None,4]"
    body = model.graph[-1].attributes["body"].as_graph()
    assert str(body.inputs[2].shape)[-3:] == ",4]"


def test_a_fresh_node_is_inferred_from_its_inputs() -> None:
    model = parse("g (float[b, s, 8] x) => (y) { y = Relu(x) }")
    x = model.graph.inputs[0]
    size = ir.Node("", "Shape", [x])
    shapes.infer_node(size)
    index = ir.Value(name="i", const_value=ir.tensor([2, 0], dtype=ir.DataType.INT64))
    model.graph.register_initializer(index)
    picked = ir.Node("", "Gather", [size.outputs[0], index])
    shapes.infer_node(picked)
    turned = ir.Node("", "Expand", [x, picked.outputs[0]])
    assert picked.outputs[0].dtype is ir.DataType.INT64
    content = shapes.symbolic_value(picked.outputs[0])
    assert [str(item) for item in content or ()] == ["8", "b"]
    made = ir.Node("", "ConstantOfShape", [picked.outputs[0]])
    shapes.infer_node(made)
    assert str(made.outputs[0].shape) == "[8,b]"
    shapes.infer_node(turned)


def test_contents_follow_a_replaced_input() -> None:
    text = """g (float[2, 3] x, float[5, 7] z) => (y) {
        s = Shape(x)
        one = Constant <value_int = 1> ()
        t = Gather(s, one)
        u = Mul(t, t)
        y = Identity(u)
    }"""
    model = parse(text)
    shapes.infer(model)
    u = value(model, "u")
    assert shapes.known_value(u) == np.array(9)
    model.graph[0].replace_input_with(0, model.graph.inputs[1])
    assert shapes.known_value(u) == np.array(49)
    gather = model.graph[2]
    gather.replace_input_with(0, gather.inputs[1])
    assert shapes.known_value(u) is None


def test_known_values_have_the_type_and_shape_of_the_tensor() -> None:
    text = """g (float[2, 3] x) => (y) {
        s = Shape(x)
        t = Cast <to = 6> (s)
        axes = Constant <value_ints = [0]> ()
        u = Unsqueeze(t, axes)
        y = Identity(u)
    }"""
    model = parse(text)
    shapes.infer(model)
    known = shapes.known_value(value(model, "u"))
    assert known is not None
    assert known.dtype == np.int32
    assert known.tolist() == [[2, 3]]
    assert shapes.known_value(model.graph.inputs[0]) is None


def test_large_weights_are_never_read() -> None:
    def read() -> ir.TensorProtocol:
        raise AssertionError("the weight was read")

    model = parse("g (float[b, 64] x) => (y) { y = Relu(x) }")
    weight = ir.LazyTensor(read, dtype=ir.DataType.FLOAT, shape=ir.Shape([64, 32]), name="w")
    model.graph.register_initializer(ir.Value(name="w", const_value=weight))
    product = ir.Node("", "MatMul", [model.graph.inputs[0], model.graph.initializers["w"]])
    model.graph.append(product)
    shapes.infer(model)
    assert str(product.outputs[0].shape) == "[b,32]"


def test_the_pass_asks_once_and_only_where_something_changes() -> None:
    text = "g (float[b, 4] x) => (float[b, 4] y) { t = Relu(x) \n u = Relu(t) \n y = Relu(u) }"
    model, gate = parse(text), Gate()
    assert InferShapes().run(model, Context(gate=gate)) == 2
    assert gate.applied == [Site("", "infer-shapes", "t")]
    assert InferShapes().run(model, Context(gate=gate)) == 0
    assert len(gate.applied) == 1


def test_the_pass_changes_nothing_where_it_is_not_permitted() -> None:
    model = parse("g (float[b, 4] x) => (y) { t = Relu(x) \n y = Relu(t) }")
    assert InferShapes().run(model, Context(gate=Gate(limit=0))) == 0
    assert value(model, "t").shape is None


def chain(length: int) -> ir.Model:
    model = parse("g (float[b, 4] x) => (y) { y = Relu(x) }")
    last = model.graph.outputs[0]
    for index in range(length):
        node = ir.Node("", "Relu", [last])
        last = node.outputs[0]
        last.name = f"v{index}"
        model.graph.append(node)
    return model


def test_cost_is_linear_in_nodes() -> None:
    times = []
    for length in (2000, 8000):
        model = chain(length)
        gc.collect()
        gc.disable()  # what other tests left behind would be walked over and counted too
        start = time.process_time()
        shapes.infer(model)
        times.append(time.process_time() - start)
        gc.enable()
    assert times[1] < 12 * times[0]
    assert times[1] < 8000 * 400e-6  # ten times what it takes


def test_a_question_about_a_long_computation_is_bounded() -> None:
    model = parse("g (int64[2] x) => (y) { y = Shape(x) }")
    last = model.graph.outputs[0]
    for _ in range(3000):
        node = ir.Node("", "Add", [last, last])
        last = node.outputs[0]
        model.graph.append(node)
    assert shapes.symbolic_value(last) is None
