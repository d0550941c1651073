"""Whole models: bodies, functions, sizes, what is unknown, bytes."""

from __future__ import annotations

import onnx
import onnx.defs
import pytest

from onnxopt.costs import TABLE, TRAFFIC, Costs
from tests.costs.models import cost
from tests.shapes.models import parse

HEAD = '<ir_version: 8, opset_import: ["": 17, "far": 1]>\n'


@pytest.mark.parametrize("domain", ["", "ai.onnx.ml"])
def test_every_operator_has_a_row(domain: str) -> None:
    schemas = onnx.defs.get_all_schemas_with_history()
    names = {schema.name for schema in schemas if schema.domain == domain}
    assert {name for name in names if (domain, name) not in TABLE} == set()


def test_what_moves_otherwise_is_in_the_table() -> None:
    assert TRAFFIC.keys() <= TABLE.keys()


def test_sizes_and_formulas_agree() -> None:
    text = "g (float[n,3] x, float[3,m] w) => (float y) { y = MatMul (x, w) }"
    formula = Costs.of(parse(text)).macs
    assert str(formula) == "3*m*n"
    assert Costs.of(parse(text), {"n": 5, "m": 2}).macs == 30
    assert str(Costs.of(parse(text), {"n": 5}).macs) == "15*m"


def test_an_axis_without_a_name_is_called_by_its_place() -> None:
    text = "g (float[?,3] x) => (float y) { y = Relu (x) }"
    assert str(Costs.of(parse(text)).ops) == "3*x:0"
    assert Costs.of(parse(text), {"x:0": 4}).ops == 12


LOOP = """
g (float[4,4] x, TRIPS) => (float[4,4] y) {
  go = Constant <value = bool {1}> ()
  y = Loop (n, go, x) <body = b (int64 i, bool c, float[4,4] s) => (bool d, float[4,4] t) {
    d = Identity (c)
    t = MatMul (s, s)
  }>
}
"""


def test_a_loop_multiplies() -> None:
    known = LOOP.replace(", TRIPS", "").replace("go =", "n = Constant <value_int = 7> () go =", 1)
    costs = Costs.of(parse(known))
    assert costs.macs == 7 * 64
    assert costs.rows[-1].times == 7
    assert costs.rows[-1].within


def test_a_loop_that_the_data_end_counts_once_and_says_so() -> None:
    costs = Costs.of(parse(LOOP.replace("TRIPS", "int64 n")))
    assert costs.macs == 64
    row = costs.rows[-1]
    assert row.times is None
    assert "only known from the data" in row.unknown
    assert row in costs.uncounted()


def test_a_loop_over_a_named_extent_is_a_formula() -> None:
    text = LOOP.replace("TRIPS", "float[steps] z")
    text = text.replace("go =", "s = Shape (z) n = Squeeze (s) go =", 1)
    assert str(Costs.of(parse(text)).macs) == "64*steps"


def branches(condition: str) -> Costs:
    return Costs.of(
        parse(f"""g (float[4,4] x, bool maybe) => (float[4,4] y) {{
  sure = Constant <value = bool {{0}}> ()
  y = If ({condition}) <
    then_branch = a () => (float[4,4] p) {{ p = MatMul (x, x) }},
    else_branch = b () => (float[4,4] q) {{ q = Relu (x) }}
  >
}}""")
    )


def test_of_two_branches_the_costlier_counts() -> None:
    costs = branches("maybe")
    assert (costs.macs, costs.ops) == (64, 0)


def test_of_two_branches_the_one_that_is_taken_counts() -> None:
    costs = branches("sure")
    assert (costs.macs, costs.ops) == (0, 16)


def test_a_scan_takes_every_slice() -> None:
    text = """g (float[4] s, float[6,4] xs, float[4,4] w) => (float[4] e, float[6,4] ys) {
  e, ys = Scan <num_scan_inputs = 1, body = b (float[4] a, float[4] x) => (float[4] c, float[4] y) {
    c = MatMul (a, w)
    y = Add (c, x)
  }> (s, xs)
}"""
    costs = Costs.of(parse(text))
    assert (costs.macs, costs.ops) == (6 * 16, 6 * 4)


FUNCTION = """<ir_version: 8, opset_import: ["": 17, "own": 1]>
g (float[2,4] x, float[4,4] w) => (float y) { h = own.twice (x, w) y = own.twice (h, w) }
<domain: "own", opset_import: ["": VERSION]>
twice (a, b) => (d) { c = MatMul (a, b) d = MatMul (c, b) }
"""


def test_functions_count_for_each_call_and_the_model_stays() -> None:
    model = parse(FUNCTION.replace("VERSION", "17"))
    costs = Costs.of(model)
    assert costs.macs == 4 * 2 * 16
    assert [node.op_type for node in model.graph] == ["twice", "twice"]
    assert len(model.functions) == 1


def test_a_function_of_another_opset_is_named() -> None:
    costs = Costs.of(parse(FUNCTION.replace("VERSION", "13")))
    assert costs.macs == 0
    assert [row.operator for row in costs.uncounted()] == ["own::twice"] * 2
    assert "function" in costs.rows[0].unknown


def test_an_operator_without_a_row_is_named() -> None:
    text = HEAD + "g (float[2] x) => (float y) { y = far.Away (x) }"
    (row,) = Costs.of(parse(text)).uncounted()
    assert (row.operator, row.macs, row.read_bytes) == ("far::Away", None, None)
    assert row.unknown == "operator far::Away is not in the cost table"


def test_what_only_the_data_tell_is_unknown() -> None:
    costs = Costs.of(parse("g (float[8] x) => (float y) { i = NonZero (x) y = Sqrt (i) }"))
    assert costs.rows[-1].ops is None
    assert costs.rows[-1].unknown


@pytest.mark.parametrize(
    "call",
    [
        "y = Conv (x)",
        "y = Einsum (x)",
        "y = LSTM (x)",
        "y = Conv <group = 0> (x, x)",
        "y = MatMul ()",
        "y = com.microsoft.Attention (x)",
        "y = Loop (x)",
        "y = If (x)",
        "y = DFT <axis = 7> (x)",
    ],
)
def test_malformed_nodes_have_no_cost_and_break_nothing(call: str) -> None:
    row = cost("float[2,3,4] x", call)
    assert row.macs is None or (row.macs == 0 and row.ops in (0, None))


def test_views_move_nothing_and_gathers_read_what_they_take() -> None:
    shape = "s = Constant <value = int64[1] {-1}> ()"
    row = cost("float[10,4] x", f"{shape} y = Reshape (x, s)")
    assert (row.read_bytes, row.written_bytes) == (0, 0)
    row = cost("float[1000,4] x, int64[3] i", "y = Gather (x, i)")
    assert (row.read_bytes, row.written_bytes) == (48 + 24, 48)
    row = cost("float[10,4] x", "y = Add (x, x)")
    assert (row.read_bytes, row.written_bytes, row.ops) == (160, 160, 40)


def test_weights_are_the_constants_a_node_is_given() -> None:
    weight = "<float[2,2] w = {1, 2, 3, 4}>"
    model = parse(f"g (float[2,2] x) => (float y) {weight} {{ y = MatMul (x, w) }}")
    assert Costs.of(model).rows[0].weight_bytes == 16


def test_elementwise_operations_are_not_macs() -> None:
    assert cost("float[3,4] x", "y = Sigmoid (x)").ops == 48
    assert cost("float[3,4] x", "y = Softmax (x)").ops == 60
    assert cost("float[3,4] x", "y = Softmax (x)").macs == 0
    assert cost("float[3,4] x, float[4] z", "y = Sum (x, z, z)").ops == 24
    assert cost("float[3,4] x", "y = ReduceMean <axes = [1]> (x)").ops == 12 + 3
