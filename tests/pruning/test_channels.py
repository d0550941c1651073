"""Whole channels removed: exactly where they do nothing, with little loss where they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnxopt import graph, shapes
from onnxopt.coupling import couple
from onnxopt.errors import ModelError, UsageError
from onnxopt.feeds import sizes_of
from onnxopt.pipeline import Pipeline
from onnxopt.pruning.amounts import Counted
from onnxopt.pruning.candidates import Limits, candidates
from onnxopt.pruning.channels import Outcome, prune
from onnxopt.pruning.choice import Request, shrink
from onnxopt.pruning.options import Importance, Measure, Recover
from onnxopt.verify import Honest, Verify
from tests.contract.corpus.build import Array, normal
from tests.pruning.tools import (
    BOTTLENECK,
    BOTTLENECK_WEIGHTS,
    CHAIN,
    CHAIN_WEIGHTS,
    EXACT,
    FORWARD,
    FORWARD_WEIGHTS,
    INNER,
    OUTER,
    RESIDUAL,
    RESIDUAL_WEIGHTS,
    context,
    energy,
    images,
    read,
    weights,
)

IMAGES = images(160, 3, 8, 8)
OTHERS = {"x": np.concatenate([each["x"] for each in images(48, 3, 8, 8, seed=7)])}
TEXTS = [{"x": normal(4, 6, 16, seed=seed)} for seed in range(24)]
SMALL = images(160, 4, 6, 6)


def pruned(
    made: ir.Model,
    feeds: list[Any],
    share: float,
    of: Measure = "macs",
    **options: Any,
) -> tuple[ir.Model, Outcome]:
    """Return a pruned copy of a model."""
    thin = made.clone()
    gauge = Counted(of, sizes_of(made, feeds[0]))
    outcome = prune(thin, Request(share=share, **options), gauge, context(feeds))
    return thin, outcome


def planted(values: Mapping[str, Array], readers: Mapping[str, int], gone: int) -> dict[str, Array]:
    """Return weights that read the first ``gone`` units of an axis with zeros."""
    found = dict(values)
    for name, axis in readers.items():
        held = found[name].copy()
        held[(slice(None),) * axis + (slice(gone),)] = 0
        found[name] = held
    return found


@pytest.mark.parametrize(
    ("text", "values", "readers", "feeds", "share"),
    [
        (RESIDUAL, RESIDUAL_WEIGHTS, {"w2": 1}, IMAGES, 0.78),
        (CHAIN, CHAIN_WEIGHTS, {"w2": 1, "w3": 1}, SMALL, 0.75),
        (FORWARD, FORWARD_WEIGHTS, {"w1": 0}, TEXTS, 0.88),
    ],
)
def test_channels_that_do_nothing_go_without_a_trace(
    text: str, values: dict[str, Array], readers: Mapping[str, int], feeds: list[Any], share: float
) -> None:
    made = read(text, planted(values, readers, 8))
    thin, outcome = pruned(made, feeds, share)
    assert outcome.changed
    assert outcome.reached
    expected = EXACT(made, feeds[0])
    found = EXACT(thin, feeds[0])
    np.testing.assert_allclose(found["y"], expected["y"], rtol=1e-4, atol=1e-5)
    assert all(group.after >= group.before - 8 for group in outcome.groups)


@pytest.mark.parametrize("of", ["macs", "params", "bytes"])
@pytest.mark.parametrize("share", [0.5, 0.75])
def test_the_amount_falls_to_what_was_asked_for(of: Measure, share: float) -> None:
    made = read(RESIDUAL, RESIDUAL_WEIGHTS)
    thin, outcome = pruned(made, IMAGES, share, of)
    gauge = Counted(of, sizes_of(made, IMAGES[0]))
    assert outcome.reached
    assert outcome.after == gauge.measured(thin)
    assert share - 0.07 < gauge.measured(thin) / gauge.measured(made) <= share * 1.031
    assert EXACT(thin, OTHERS)["y"].shape == (48, 5)


def test_recovery_is_better_than_biases_and_those_than_nothing() -> None:
    made = read(RESIDUAL, RESIDUAL_WEIGHTS)
    expected = EXACT(made, OTHERS)

    def loss(recover: Recover) -> float:
        thin, _ = pruned(made, IMAGES, 0.6, recover=recover, ratios="uniform")
        return energy(expected, EXACT(thin, OTHERS))

    assert loss("refit") < 0.7 * loss("bias") < loss("none")


def test_reconstruction_chooses_better_than_norms_and_chance() -> None:
    made = read(RESIDUAL, RESIDUAL_WEIGHTS)
    expected = EXACT(made, OTHERS)

    def loss(importance: Importance) -> float:
        thin, _ = pruned(made, IMAGES, 0.5, importance=importance, ratios="uniform")
        return energy(expected, EXACT(thin, OTHERS))

    best = loss("reconstruction")
    for other in ("l1", "random", "median", "activations", "l2"):
        assert best <= 1.1 * loss(other)


def test_scales_of_normalisations_choose_as_well() -> None:
    text = RESIDUAL.replace("ra = Relu(a)", "n = BatchNormalization(a, g, o, o, v)\n  ra = Relu(n)")
    scale = np.linspace(0.1, 2, INNER).astype(np.float32)
    norm = {"g": scale, "o": np.zeros(INNER, np.float32), "v": np.ones(INNER, np.float32)}
    made = read(text, {**RESIDUAL_WEIGHTS, **norm})
    thin, outcome = pruned(
        made, IMAGES, 0.7, importance="scale", recover="none", limits=Limits(only=("first",))
    )
    (group,) = outcome.groups
    np.testing.assert_array_equal(graph.array(thin.graph.initializers["g"]), scale[-group.after :])


def test_biases_come_where_there_were_none() -> None:
    made = read(CHAIN, CHAIN_WEIGHTS)
    thin, outcome = pruned(made, SMALL, 0.5)
    convs = [node for node in thin.graph if node.op_type == "Conv"]
    assert all(len(node.inputs) == 3 for node in convs)
    assert max(row.after for row in outcome.refitted) < 0.9


def test_patterns_and_limits_hold() -> None:
    made = read(RESIDUAL, RESIDUAL_WEIGHTS)
    _, outcome = pruned(made, IMAGES, 0.7, limits=Limits(skip=("first",)))
    assert "first" not in [group.name for group in outcome.groups]
    _, outcome = pruned(made, IMAGES, 0.7, limits=Limits(only=("w1",)))
    assert [group.name for group in outcome.groups] == ["first"]
    _, outcome = pruned(made, IMAGES, 0.6, limits=Limits(multiple=8, only=("first",)))
    assert {group.after for group in outcome.groups} <= {8, 16, 24}
    _, outcome = pruned(made, IMAGES, 0.05, limits=Limits(least=0.5))
    assert not outcome.reached
    assert all(group.after >= group.before / 2 for group in outcome.groups)


def test_interface_and_what_makes_outputs_stay() -> None:
    made = read(RESIDUAL, RESIDUAL_WEIGHTS)
    thin, outcome = pruned(made, IMAGES, 0.4)
    assert [v.name for v in thin.graph.inputs] == ["x"]
    assert graph.static(thin.graph.outputs[0]) is None
    assert any("output" in reason for _, reason in outcome.blocked)


def test_nothing_prunable_changes_nothing() -> None:
    made = read("g (float[N,4] x) => (float[N,3] y) { y = MatMul(x, w) }", {"w": normal(4, 3)})
    thin, outcome = pruned(made, [{"x": normal(5, 4)}], 0.5)
    assert outcome.changed == 0
    assert outcome.before == outcome.after
    np.testing.assert_array_equal(graph.array(thin.graph.initializers["w"]), normal(4, 3))


def test_without_samples_it_says_what_to_do() -> None:
    made = read(RESIDUAL, RESIDUAL_WEIGHTS)
    gauge = Counted("macs", {"N": 1})
    from onnxopt.base import Context

    with pytest.raises(UsageError, match="samples"):
        prune(made.clone(), Request(share=0.5), gauge, Context())
    with pytest.raises(ModelError, match="no samples"):
        prune(made.clone(), Request(share=0.5), gauge, context([]))


def test_as_a_pass_in_a_pipeline() -> None:
    made = read(RESIDUAL, RESIDUAL_WEIGHTS)
    text = "prune/channels{share=0.6, multiple=4}"
    changes = Pipeline.parse(text).run(made, context(IMAGES), [Verify(), Honest()])
    assert changes >= 1
    inner = made.graph.initializers
    assert any(graph.static(value) != np.shape(RESIDUAL_WEIGHTS["w1"]) for value in inner.values())


def test_the_same_twice() -> None:
    made = read(RESIDUAL, RESIDUAL_WEIGHTS)
    one, other = (pruned(made, IMAGES, 0.6)[0] for _ in range(2))
    assert ir.to_proto(one) == ir.to_proto(other)


def test_shapes_of_the_result_are_right() -> None:
    made = read(RESIDUAL, RESIDUAL_WEIGHTS)
    thin, _ = pruned(made, IMAGES, 0.5)
    values = [value for node in thin.graph for value in node.outputs]
    known = [graph.dims(value) for value in values]
    shapes.infer(thin)
    for value, dims in zip(values, known, strict=True):
        found = graph.dims(value) or ()
        told = dims or (None,) * len(found)
        assert all(one in (None, other) for one, other in zip(told, found, strict=True))


LITTLE = RESIDUAL_WEIGHTS | {"w2": RESIDUAL_WEIGHTS["w2"] * np.float32(1e-3)}


@pytest.mark.parametrize("recover", ["refit", "none"])
def test_a_branch_that_does_little_goes_as_a_whole(recover: Recover) -> None:
    made = read(RESIDUAL, LITTLE | {"b2": np.zeros_like(LITTLE["b2"])})
    limits = Limits(only=("first",), least=0.5, branches=True)
    thin, outcome = pruned(made, IMAGES, 0.3, recover=recover, limits=limits)
    assert {group.name: group.after for group in outcome.groups} == {"first": 0}
    assert "Add" not in {node.op_type for node in thin.graph}
    assert sum(node.op_type == "Relu" for node in thin.graph) == 1
    assert energy(EXACT(made, OTHERS), EXACT(thin, OTHERS)) < 1e-4


def test_a_branch_may_end_before_the_shares() -> None:
    text = RESIDUAL.replace("p = GlobalAveragePool(rz)", "p = GlobalAveragePool(r0)")
    text = text.replace(
        "y = Gemm <transB = 1> (f, w3, b3)",
        """t = Gemm <transB = 1> (f, w3, b3)
      [inner] h = Gemm <transB = 1> (f, w4, b4)
      rh = Relu(h)
      [outer] u = Gemm <transB = 1> (rh, w5)
      v = Add(t, u)
      y = Softmax(v)""",
    )
    more = weights({"w4": (24, OUTER), "b4": (24,), "w5": (5, 24)}, seed=3)
    made = read(text, RESIDUAL_WEIGHTS | more | {"w5": more["w5"] * np.float32(1e-3)})
    limits = Limits(only=("inner",), least=0.5, branches=True)
    thin, outcome = pruned(made, IMAGES, 0.3, of="params", limits=limits)
    assert {group.name: group.after for group in outcome.groups} == {"inner": 0}
    assert not {"u", "v"} & {value.name for node in thin.graph for value in node.outputs}
    assert energy(EXACT(made, OTHERS), EXACT(thin, OTHERS)) < 1e-3


def test_a_branch_that_does_much_stays() -> None:
    made = read(RESIDUAL, RESIDUAL_WEIGHTS)
    limits = Limits(only=("first",), least=0.5, branches=True)
    thin, outcome = pruned(made, IMAGES, 0.6, limits=limits)
    assert outcome.reached
    assert "Add" in {node.op_type for node in thin.graph}
    stays = Limits(only=("first",), least=0.5)
    _, outcome = pruned(made, IMAGES, 0.3, limits=stays)
    assert not outcome.reached


@pytest.mark.parametrize("of", ["macs", "params", "bytes"])
def test_what_a_branch_has_is_foretold(of: Measure) -> None:
    made = read(BOTTLENECK, BOTTLENECK_WEIGHTS)
    found = {one.name: one for one in candidates(couple(made).groups, Limits(branches=True))}
    assert [name for name, one in found.items() if one.branches] == ["middle"]
    gauge = Counted(of, sizes_of(made, SMALL[0]))
    estimate = gauge.estimate(made, list(found.values()))
    thin = made.clone()
    shrink(thin, [found["middle"]], {"middle": np.arange(found["middle"].group.units)})
    assert {node.op_type for node in thin.graph} == {"Conv", "Relu", "GlobalAveragePool", "Flatten"}
    gone = gauge.measured(made) - gauge.measured(thin)
    assert estimate.total({}) - estimate.total({"middle": 0}) == pytest.approx(gone)
    onnx.checker.check_model(ir.to_proto(thin), full_check=True)


def test_a_sum_that_is_an_output_keeps_its_name() -> None:
    ended = FORWARD.replace("y = Add(vb, x)", "h = Add(vb, x)\n y = Add(h, x)")
    assert not [
        one
        for one in candidates(couple(read(FORWARD, FORWARD_WEIGHTS)).groups, Limits(branches=True))
        if one.branches
    ], "the model's input cannot take an output's name"
    made = read(ended, FORWARD_WEIGHTS)
    found = candidates(couple(made).groups, Limits(branches=True))
    (one,) = [each for each in found if each.branches]
    shrink(made, [one], {one.name: np.arange(one.group.units)})
    assert [node.op_type for node in made.graph] == ["Add"]
    np.testing.assert_array_equal(EXACT(made, TEXTS[0])["y"], 2 * TEXTS[0]["x"])


SHARED = """
g (float[N,4,6,6] x) => (float[N,3] y) {
  [plain] a = Conv <pads = [1,1,1,1]> (x, w0)
  ra = Relu(a)
  [left] b = Conv(ra, w1)
  [right] c = Conv(ra, w2)
  hb = Conv(b, w3)
  hc = Conv(c, w3)
  z = Add(hb, hc)
  p = GlobalAveragePool(z)
  y = Flatten(p)
}"""
SHARED_WEIGHTS = weights(
    {"w0": (24, 4, 3, 3), "w1": (8, 24, 1, 1), "w2": (8, 24, 1, 1), "w3": (3, 8, 1, 1)}
)


def test_what_a_shared_layer_reads_is_left_alone_and_told() -> None:
    made = read(SHARED, SHARED_WEIGHTS)
    thin, outcome = pruned(made, SMALL, 0.8)
    assert outcome.reached
    assert [(group.name, group.after < group.before) for group in outcome.groups] == [
        ("plain", True)
    ]
    assert "several layers share" in " ".join(reason for _, reason in outcome.blocked)
    assert energy(EXACT(made, SMALL[0]), EXACT(thin, SMALL[0])) < 0.5


@pytest.mark.parametrize("operator", ["LpNormalization <axis = 1>", "ReduceL2 <keepdims = 1>"])
def test_sums_over_units_are_of_what_is_left(operator: str) -> None:
    axes = ", axes" if operator.startswith("Reduce") else ""
    text = f"""
    g (float[N,4,6,6] x) => (float[N,3,6,6] y) <int64[1] axes = {{1}}> {{
      a = Conv(x, w0)
      r = Relu(a)
      n = {operator} (r{axes})
      s = Add(n, r)
      y = Conv(s, w1)
    }}"""
    made = read(text, weights({"w0": (8, 4, 1, 1), "w1": (3, 8, 1, 1)}))
    (group,) = [each for each in couple(made).groups if each.blocked is None]
    assert group.normalised


def test_a_choice_is_told_by_what_it_is_made_of() -> None:
    text = RESIDUAL.replace("float[N,5] y", "int64[N] c")
    text = text.replace("c = Conv", "k = Conv").replace("Add(c, r0)", "Add(k, r0)")
    text = text[:-1] + "  s0 = Softmax(y)\n  c = ArgMax <axis = 1, keepdims = 0> (s0)\n}"
    made = read(text, RESIDUAL_WEIGHTS)
    thin, outcome = pruned(made, IMAGES, 0.7)
    assert outcome.reached
    same = EXACT(made, OTHERS)["c"] == EXACT(thin, OTHERS)["c"]
    assert same.mean() > 0.8


def test_a_name_that_is_nowhere_is_told() -> None:
    made = read(RESIDUAL, RESIDUAL_WEIGHTS)
    with pytest.raises(UsageError, match="called 'frist', did you mean 'first'"):
        pruned(made, IMAGES, 0.7, limits=Limits(skip=("frist",)))
    pruned(made, IMAGES, 0.7, limits=Limits(skip=("fir*",)))
