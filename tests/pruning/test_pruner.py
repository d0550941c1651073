"""Pruning in one call: batches, what is held back, latency as a goal, and what the report says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import onnxopt
from onnxopt import catalogue
from onnxopt.coupling import couple
from onnxopt.errors import ModelError, UsageError
from onnxopt.measure.intervals import Estimate
from onnxopt.pruner.latency import Foretold, Timed, colours
from onnxopt.pruner.run import SHARES, Goal, Request
from onnxopt.pruner.streams import batched
from onnxopt.pruner.words import early, late, slower
from onnxopt.pruning.allocate import uniform
from onnxopt.pruning.candidates import Limits, candidates
from onnxopt.samples import Sample, Samples
from onnxopt.split import Split
from tests.contract.corpus.build import model, normal
from tests.pruning.tools import EXACT, INNER, RESIDUAL, RESIDUAL_WEIGHTS, energy, images, read

SINGLE = Samples.of([{"x": image[None]} for feeds in images(160, 3, 8, 8) for image in feeds["x"]])
OTHERS = {"x": np.concatenate([each["x"] for each in images(48, 3, 8, 8, seed=7)])}


def test_half_the_multiply_adds_with_little_loss() -> None:
    made = model(RESIDUAL, RESIDUAL_WEIGHTS)
    thin, report = onnxopt.prune_with_report(made, macs=0.5, samples=SINGLE, measure=False)
    assert report.reached
    assert 0.45 < report.after.macs / report.before.macs < 0.505
    whole = onnxopt.optimize(made)
    assert energy(EXACT(whole, OTHERS), EXACT(thin, OTHERS)) < 0.05
    assert report.sqnr_db is not None
    assert report.sqnr_db > 10
    onnx.checker.check_model(ir.to_proto(thin), full_check=True)


def test_scales_that_were_folded_choose_too() -> None:
    text = RESIDUAL.replace("ra = Relu(a)", "n = BatchNormalization(a, g, o, o, v)\n  ra = Relu(n)")
    scale = np.linspace(0.1, 2, INNER).astype(np.float32)
    norm = {"g": scale, "o": np.zeros(INNER, np.float32), "v": np.ones(INNER, np.float32)}
    # the smallest scales have the largest weights: what is left in the convolution says nothing
    evened = RESIDUAL_WEIGHTS | {"w1": RESIDUAL_WEIGHTS["w1"] / scale[:, None, None, None]}
    _, report = onnxopt.prune_with_report(
        model(text, {**evened, **norm}),
        macs=0.8,
        samples=SINGLE,
        importance="scale",
        ratios="importance",
        recover="none",
        measure=False,
    )
    (group,) = (row for row in report.groups if row.before == INNER)
    left = group.after
    assert left < INNER
    assert group.costs[left] == pytest.approx(scale[: INNER - left].sum() / scale.sum(), rel=1e-5)
    assert report.before.macs > report.after.macs


def test_accuracy_is_told_where_there_are_labels() -> None:
    made = model(RESIDUAL, RESIDUAL_WEIGHTS)
    whole = read(RESIDUAL, RESIDUAL_WEIGHTS)

    def labelled() -> Iterator[Sample]:
        for feeds in SINGLE:
            yield Sample(feeds, EXACT(whole, feeds)["y"].argmax(axis=1))

    options: dict[str, Any] = {"macs": 0.7, "measure": False}
    _, report = onnxopt.prune_with_report(made, samples=Samples(labelled, 160), **options)
    assert report.accuracy is not None
    assert (report.accuracy.name, report.accuracy.before) == ("top-1", 1.0)
    assert report.accuracy.units == report.compared_on
    assert "top-1: 100.00 % -> " in str(report)
    _, report = onnxopt.prune_with_report(made, samples=SINGLE, metric="agreement", **options)
    assert report.accuracy is not None
    assert report.accuracy.after > 0.5
    _, report = onnxopt.prune_with_report(made, samples=SINGLE, **options)
    assert report.accuracy is None


def test_the_report_reads_as_text_and_as_json() -> None:
    made = model(RESIDUAL, RESIDUAL_WEIGHTS)
    _, report = onnxopt.prune_with_report(made, params=0.7, samples=SINGLE, measure=False)
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["fitted_on"] + plain["compared_on"] == 160
    assert {row["name"] for row in plain["groups"]} == {row.name for row in report.groups}
    text = str(report)
    for row in report.groups:
        assert f"{row.before}" in text
    assert "output 'y' of the model" in text


def test_the_model_given_stays() -> None:
    made = model(RESIDUAL, RESIDUAL_WEIGHTS)
    before = made.SerializeToString()
    onnxopt.prune(made, macs=0.7, samples=SINGLE)
    assert made.SerializeToString() == before


def test_goals_are_shares_and_one() -> None:
    made = model(RESIDUAL, RESIDUAL_WEIGHTS)
    with pytest.raises(UsageError, match="one amount"):
        onnxopt.prune(made, samples=SINGLE)
    with pytest.raises(UsageError, match="one amount"):
        onnxopt.prune(made, macs=0.5, params=0.5, samples=SINGLE)
    with pytest.raises(UsageError, match="between 0 and 1"):
        onnxopt.prune(made, macs=1.5, samples=SINGLE)
    with pytest.raises(UsageError, match=r"macs='50%': give a number"):
        onnxopt.prune(made, macs="50%", samples=SINGLE)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="there are no samples"):
        onnxopt.prune(made, macs=0.5, samples=[])
    with pytest.raises(UsageError, match="give a folder, a list of feeds"):
        onnxopt.prune(made, macs=0.5, samples={"x": 3})  # type: ignore[dict-item]
    with pytest.raises(ModelError, match="no channels that may go"):
        onnxopt.prune(made, macs=0.5, samples=SINGLE, skip=["*"])


def test_what_cannot_be_reached_is_told() -> None:
    made = model(RESIDUAL, RESIDUAL_WEIGHTS)
    _, report = onnxopt.prune_with_report(made, macs=0.05, samples=SINGLE, least=0.5, measure=False)
    assert not report.reached
    assert any("as small as it may be" in warning for warning in report.warnings)


def test_neighbours_are_joined_where_the_batch_is_open() -> None:
    made = read(RESIDUAL, RESIDUAL_WEIGHTS)
    joined = list(batched(SINGLE, made))
    assert [len(feeds["x"]) for feeds in joined] == [50, 50, 50, 10]
    whole = np.concatenate([feeds["x"] for feeds in joined])
    np.testing.assert_array_equal(whole, np.concatenate([feeds["x"] for feeds in SINGLE]))
    fixed = read(RESIDUAL.replace("float[N,3,8,8] x", "float[1,3,8,8] x"), RESIDUAL_WEIGHTS)
    assert list(batched(SINGLE, fixed)) == list(SINGLE)


def test_samples_of_other_shapes_begin_a_batch() -> None:
    text = "g (float[N,T] x) => (float[N,T] y) { y = Relu(x) }"
    stream = Samples.of([{"x": normal(1, size)} for size in (3, 3, 4, 4, 4, 3)])
    joined = list(batched(stream, read(text, {})))
    assert [feeds["x"].shape for feeds in joined] == [(2, 3), (3, 4), (1, 3)]


@pytest.mark.parametrize("count", [1, 2, 9, 64, 700])
def test_what_is_held_back_is_not_fitted_on(count: int) -> None:
    def numbers() -> Iterator[Sample]:
        return (Sample({"x": np.array([at])}) for at in range(count))

    division = Split(Samples(numbers, count), SHARES)
    fitted = [int(feeds["x"][0]) for feeds in division.fitting()]
    held = [int(feeds["x"][0]) for feeds in division.held()]
    assert len(fitted) == division.fitted
    assert held
    assert len(held) <= 72
    if count > 1:
        assert sorted(fitted + held) == list(range(count))


def test_foretold_times_multiply_what_groups_make_of_nodes() -> None:
    table = {"a": {2: {"one": 0.5, "two": 0.6}}, "b": {1: {"two": 0.5, "three": 0.1}}}
    found = Foretold({"one": 0.2, "two": 0.5, "three": 0.2, "rest": 0.1}, table)
    assert found.total({}) == pytest.approx(1.0)
    assert found.total({"a": 2}) == pytest.approx(0.1 + 0.3 + 0.2 + 0.1)
    assert found.total({"a": 2, "b": 1}) == pytest.approx(0.1 + 0.15 + 0.02 + 0.1)
    assert found.total({"a": 4, "b": 1}) == pytest.approx(0.2 + 0.25 + 0.02 + 0.1)


def test_groups_that_share_nodes_get_other_colours() -> None:
    names = {"a": {"1", "2"}, "b": {"2", "3"}, "c": {"3", "4"}, "d": {"1", "4", "2"}}
    found = colours({name: frozenset(nodes) for name, nodes in names.items()})
    assert found["a"] != found["b"]
    assert found["b"] != found["c"]
    assert found["a"] == found["c"]
    assert found["d"] not in (found["a"], found["b"])


def test_times_of_nodes_are_taken_at_every_width() -> None:
    made = read(RESIDUAL, RESIDUAL_WEIGHTS)
    limits = Limits(only=("first",), multiple=8, branches=True)
    backend = catalogue.backend("cpu{threads=1}")
    with Timed(made, backend, images(16, 3, 8, 8)[0], 0, lambda *_: None) as gauge:
        assert gauge.measured(made) == 1.0
        found = gauge.estimate(made, candidates(couple(made).groups, limits))
    assert found.total({}) == pytest.approx(1.0)
    assert set(found.table["first"]) == {16, 8, 0}
    ends = found.table["first"][8].keys()
    assert ends & {"a", "ra"}
    assert ends & {"c", "z", "rz"}
    assert ends <= found.times.keys()
    assert found.total({"first": 0}) < 0.9
    (one,) = candidates(couple(made).groups, limits)
    later = dataclasses.replace(one, widths=(16, 8))
    with Timed(made, backend, images(16, 3, 8, 8)[0], 0, lambda *_: None) as gauge:
        assert set(gauge.estimate(made, [later]).table["first"]) == {16, 8}


def test_channels_stay_multiples_for_latency() -> None:
    target = dataclasses.replace(catalogue.find_backend("cpu").target(), channel_block=16)
    limits = Request(goal=Goal(of="latency", share=0.5)).thinning(target, {}).limits
    assert limits.multiple == 16
    assert limits.widths(64) == (64, 48, 32, 16)
    assert limits.widths(24) == (24, 16)
    assert limits.widths(16) == (16,)
    assert limits.widths(4, each=64) == (4, 3, 2, 1)
    assert limits.branches
    plain = Request(goal=Goal(of="macs", share=0.5)).thinning(target, {}).limits
    assert (plain.multiple, plain.branches) == (1, False)


def test_a_latency_beside_what_was_asked_for_is_said() -> None:
    ratio = Estimate(0.6, 0.59, 0.61)
    assert late(0.5, ratio).startswith("latency is 0.60 of the model's and 0.50 was asked for")
    assert "0.70 would have done" in early(0.7, ratio)


def test_a_slower_result_is_told_with_its_remedy() -> None:
    assert "--latency, or --multiple 16" in slower(16)
    assert slower(0).endswith("ask for --latency")


def test_half_precision_is_refused_with_its_remedy() -> None:
    text = "g (float16[N,4] x) => (float16[N,4] y) { y = MatMul(x, w) }"
    made = model(text, {"w": normal(4, 4).astype(np.float16)})
    with pytest.raises(ModelError, match="prune the float32 model"):
        onnxopt.prune(made, macs=0.5)


def test_the_same_share_of_what_is_left() -> None:
    class Units:
        def total(self, widths: Mapping[str, int]) -> float:
            return float(sum(widths.values()))

    assert uniform({"gone": {0: 0.0}, "b": {8: 0.0, 4: 1.0}}, Units(), 4) == {"gone": 0, "b": 4}


@pytest.mark.parametrize("options", [{"multiple": -3}, {"least": 1.5}, {"steps": 0}])
def test_options_that_mean_nothing(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        onnxopt.prune(model(RESIDUAL, RESIDUAL_WEIGHTS), macs=0.5, samples=SINGLE, **options)


def test_scales_that_are_nowhere_are_told() -> None:
    made = model(RESIDUAL, RESIDUAL_WEIGHTS)
    _, report = onnxopt.prune_with_report(
        made, macs=0.7, samples=SINGLE, importance="scale", measure=False
    )
    assert any("no normalisation scales a channel" in warning for warning in report.warnings)
    assert report.options["importance"] == "scale"


def test_two_goals_are_named() -> None:
    with pytest.raises(UsageError, match="not of macs and params"):
        Goal.of_one(macs=0.5, params=0.5, bytes=None, latency=None)


def test_a_pass_that_changes_numbers_is_not_verified() -> None:
    made = model(RESIDUAL, RESIDUAL_WEIGHTS)
    with pytest.raises(UsageError, match="prune/magnitude changes what the model computes"):
        onnxopt.optimize(made, pipeline="prune/magnitude, dce")
    with pytest.raises(UsageError, match="no layer with weights to prune is called 'nowhere'"):
        onnxopt.optimize(made, pipeline="prune/magnitude{only=[nowhere]}", verify="off")
