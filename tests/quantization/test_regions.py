"""Which parts stay in float: the cut is the cheapest, the parts are those that run on integers."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxopt.backends._integer import X86_VNNI
from onnxopt.profiling import Executed
from onnxopt.quantizer.cut import Edge, cheapest
from onnxopt.quantizer.mixed import Timing, leave_out
from onnxopt.quantizer.regions import CHANGE_S, Part, elements, parts_of, timed, worth
from tests.quantization.test_static import MODELS, example
from tests.quantization.tools import quantized

COSTS = st.floats(0, 100)


def cost_of(
    one: set[int], first: dict[int, float], second: dict[int, float], edges: list[Edge]
) -> float:
    own = sum(first[i] if i in one else second[i] for i in first)
    return own + sum(cost for a, b, cost in edges if (a in one) != (b in one))


@given(st.data())
def test_no_partition_is_cheaper(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 7))
    first, second = ({i: data.draw(COSTS) for i in range(count)} for _ in range(2))
    pairs = list(itertools.combinations(range(count), 2))
    drawn = data.draw(st.lists(st.tuples(st.sampled_from(pairs), COSTS))) if pairs else []
    edges = [(a, b, cost) for (a, b), cost in drawn]
    found = cost_of(cheapest(first, second, edges), first, second, edges)
    every = itertools.product((False, True), repeat=count)
    least = min(
        cost_of({i for i, taken in enumerate(each) if taken}, first, second, edges)
        for each in every
    )
    assert found == pytest.approx(least, abs=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_parts_are_layers_and_what_lies_between(name: str) -> None:
    *_, feeds, layers = MODELS[name]
    made = example(name)
    before = {v.name for node in made.graph for v in node.outputs}
    quantized(made, feeds)
    wanted = {v.name for node in made.graph for v in node.outputs} & before
    parts = parts_of(made, X86_VNNI, sorted(filter(None, wanted)))
    products = {"Conv", "Gemm", "MatMul"}
    computed = [n for n in made.graph if n.op_type in products]
    held = {part.name: part for part in parts}
    assert sum(n.outputs[0].name in part.values for n in computed for part in parts) == layers
    assert all(maker is None or maker.name in held for p in parts for maker, _ in p.reads)


def test_a_chain_hands_over_integers() -> None:
    made = example("residual")
    quantized(made, MODELS["residual"][2])
    parts = {part.name: part for part in parts_of(made, X86_VNNI, ["a", "c", "y"])}
    assert parts["a"].reads == [(None, "x")]
    assert parts["c"].reads == [(parts["a"], "a")]
    assert [maker for maker, _ in parts["s"].reads] == [parts["c"], parts["a"]]
    assert parts["y"].leaves
    assert not parts["a"].leaves


@pytest.mark.parametrize("name", ["residual", "pooled", "shortcut", "sequence"])
def test_a_layer_goes_back_by_its_name(name: str) -> None:
    *_, feeds, layers = MODELS[name]
    whole = example(name)
    quantized(whole, feeds)
    products = {"Conv", "Gemm", "MatMul"}
    values = [n.outputs[0].name or "" for n in example(name).graph if n.op_type in products]
    for each in filter(lambda part: part.layer, parts_of(whole, X86_VNNI, values)):
        made = example(name)
        left = quantized(made, feeds, f"quantize/static{{skip=[{each.name}]}}")
        assert left < layers
        assert each.name not in {other.name for other in parts_of(made, X86_VNNI, values)}


def part(name: str, integer: float, plain: float, *reads: tuple[Part | None, str]) -> Part:
    return Part(
        name=name,
        layer=True,
        values=frozenset((name,)),
        reads=list(reads),
        integer_s=integer,
        float_s=plain,
    )


def chain() -> list[Part]:
    """Return three layers of which the middle one alone is a little slower on integers."""
    first = part("a", 1e-3, 4e-3, (None, "x"))
    second = part("b", 3.2e-3, 3e-3, (first, "a"))
    return [first, second, part("c", 1e-3, 4e-3, (second, "b"))]


def test_a_slow_part_stays_where_leaving_costs_more() -> None:
    parts = chain()
    assert worth(parts, {}, 0.0) == [parts[1]]
    assert worth(parts, {"a": 0.15e-3 / CHANGE_S, "b": 0.15e-3 / CHANGE_S}, 0.0) == []


def test_noise_is_weighed_against_time() -> None:
    parts = chain()
    noise = {"a": 0.5, "b": 0.01, "c": 0.02}
    timing = Timing(parts=parts, sizes={})
    assert leave_out(noise, 0.53, 0.04, timing) == ["a", "b"]
    assert leave_out(noise, 0.53, 0.53, timing) == ["b"]
    assert set(leave_out(noise, 0.53, 0.001, timing)) == {"a", "b", "c"}


def test_times_go_to_the_parts_they_are_spent_on() -> None:
    parts = chain()
    for each in parts:
        each.integer_s = each.float_s = 0.0

    def ran(op_type: str, seconds: float, *values: str) -> Executed:
        return Executed("n", op_type, "", "cpu", seconds, values, 400.0)

    integer = [ran("QLinearConv", 1.0, "a", "q"), ran("QuantizeLinear", 9.0, "b")]
    plain = [ran("Conv", 3.0, "a", "b"), ran("Tanh", 7.0, "t")]
    timed(parts, integer, plain)
    assert [(each.integer_s, each.float_s) for each in parts] == [(1.0, 1.5), (0.0, 1.5), (0, 0)]
    assert elements(plain) == {"a": 100.0, "b": 100.0, "t": 100.0}
