"""Two models cut along the values that both have."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from onnxopt.measure.intervals import Estimate
from onnxopt.profiling.fusion import origins
from onnxopt.profiling.pairs import Side, pair
from onnxopt.profiling.regions import Step, steps
from onnxopt.profiling.report import PairRow, change_of
from onnxopt.profiling.rows import Timed, together
from onnxopt.profiling.tally import NodeTally
from onnxopt.profiling.work import Graphs
from tests.passes.tools import model_of

CHAIN = "(float[2] x) => (float[2] y) { a = Abs(x) b = Neg(a) c = Exp(b) y = Add(c, a) }"


def timed(step: Step, seconds: float) -> Timed:
    node = NodeTally(
        node=step.name,
        op_type=step.op_type,
        provider="P",
        depth=step.depth,
        count=1.0,
        inner=0.0,
        blocks=[seconds] * 4,
        device=[],
        inputs=(),
        outputs=(),
        activation_bytes=0,
        weight_bytes=0,
        output_bytes=0,
    )
    return Timed(node, [[seconds] * 4])


def side(text: str, seconds: float = 1.0) -> Side:
    """Return a model that runs as it is written."""
    found = steps(model_of(text))
    graphs = Graphs(executed=found, origins=origins(found, found), costs=[])
    return Side(graphs, [timed(step, seconds) for step in found], found)


def test_an_interval_holds_its_figure_on_a_busy_machine() -> None:
    (step,) = steps(model_of("(float[2] x) => (float[2] y) { y = Abs(x) }"))
    first, second = [1.0, 1.0, 1.0, 1.0, 9.0, 9.0], [9.0, 9.0, 1.0, 1.0, 1.0, 1.0]
    nodes = [timed(step, 1.0)._replace(rows=[row] * 3) for row in (first, second)]
    found = together(nodes)
    assert found is not None
    assert found.low <= sum(node.seconds for node in nodes) <= found.high
    assert found.value > sum(node.seconds for node in nodes) + 1


def told(rows: list[PairRow]) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    return {row.value: (row.before, row.after) for row in rows}


def test_equal_models_match_node_by_node() -> None:
    rows = pair(side(CHAIN), side(CHAIN))
    assert told(rows) == {
        "a": (("Abs",), ("Abs",)),
        "b": (("Neg",), ("Neg",)),
        "c": (("Exp",), ("Exp",)),
        "y": (("Add",), ("Add",)),
    }


def test_what_was_fused_matches_what_it_was_made_of() -> None:
    fused = "(float[2] x) => (float[2] y) { a = Abs(x) y = Gelu(a) }"
    assert told(pair(side(CHAIN), side(fused))) == {
        "a": (("Abs",), ("Abs",)),
        "y": (("Neg", "Exp", "Add"), ("Gelu",)),
    }


def test_values_under_other_names_match_nothing() -> None:
    other = "(float[2] x) => (float[2] z) { p = Abs(x) z = Neg(p) }"
    assert pair(side(CHAIN), side(other)) == []


def test_what_only_one_has_stands_by_itself() -> None:
    more = "(float[2] x) => (float[2] y, float[2] z) { a = Abs(x) z = Sin(a) y = Neg(a) }"
    less = "(float[2] x) => (float[2] y) { a = Abs(x) y = Neg(a) }"
    assert told(pair(side(more), side(less)))[""] == (("Sin",), ())


def test_the_surest_large_change_comes_first() -> None:
    slow = side(CHAIN, 3.0)
    rows = pair(side(CHAIN), slow)
    assert all(row.change.low > 0 for row in rows)
    nodes = [
        each if each.node.op_type != "Exp" else timed(slow.steps[2] or slow.graphs.executed[2], 9.0)
        for each in slow.nodes
    ]
    assert pair(side(CHAIN), slow._replace(nodes=nodes))[0].value == "c"


@st.composite
def chains(draw: st.DrawFn) -> str:
    """Draw a graph of unary nodes and sums over earlier values, some of which share names."""
    names = ["x"]
    lines = []
    for at in range(draw(st.integers(1, 8))):
        one, two = draw(st.sampled_from(names)), draw(st.sampled_from(names))
        name = f"{draw(st.sampled_from('vw'))}{at}"
        lines.append(f"{name} = Add({one}, {two})")
        names.append(name)
    return f"(float[2] x) => (float[2] y) {{ {' '.join(lines)} y = Neg({names[-1]}) }}"


@given(chains(), chains())
def test_every_node_stands_in_one_row(one: str, two: str) -> None:
    before, after = side(one), side(two)
    rows = pair(before, after)
    assert sum(len(row.before) for row in rows) == len(before.nodes)
    assert sum(len(row.after) for row in rows) == len(after.nodes)


def test_differences() -> None:
    found = change_of(Estimate(5, 2, 6), Estimate(9, 5, 9))
    assert found.value == 4
    assert np.isclose(found.low, 4 - np.hypot(4, 1))
    assert np.isclose(found.high, 4 + np.hypot(0, 3))
    assert change_of(None, Estimate(2, 1, 3)) == Estimate(2, 1, 3)
    assert dataclasses.astuple(change_of(Estimate(2, 1, 3), None)) == (-2, -3, -1)
