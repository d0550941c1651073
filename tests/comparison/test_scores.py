"""Metrics equal what is computed by hand, and intervals hold what they promise."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from onnxopt.comparison import (
    Metric,
    Scores,
    agreement,
    bootstrap,
    fitting,
    mcnemar,
    metric_of,
    own,
    paired_shares,
    perplexity,
    top,
    wilson,
)
from onnxopt.comparison.intervals import LEAST_UNITS
from onnxopt.errors import ModelError, UsageError


def value(metric: Metric, array: np.ndarray, label: np.ndarray | None) -> float:
    total, count = metric.score({"y": array}, label).sum(axis=0)
    return metric.value(total, count)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_top_k_is_what_sorting_gives(count: int) -> None:
    rng = np.random.default_rng(count)
    logits, label = rng.normal(size=(200, 12)).astype(np.float32), rng.integers(0, 12, 200)
    best = np.argsort(-logits, axis=1)[:, :count]
    expected = float(np.mean([label[n] in best[n] for n in range(200)]))
    assert value(top(count), logits, label) == pytest.approx(expected)
    assert value(top(count), logits, np.eye(12)[label]) == pytest.approx(expected)
    assert value(top(count), logits[..., None, None], label[:, None]) == pytest.approx(expected)


def test_a_constant_output_is_right_by_chance_only() -> None:
    label = np.arange(10)
    assert value(top(1), np.zeros((10, 10), np.float32), label) == pytest.approx(0.1)


def test_perplexity_is_exp_of_the_mean_loss() -> None:
    rng = np.random.default_rng(0)
    logits, label = rng.normal(size=(2, 6, 9)).astype(np.float32), rng.integers(0, 9, (2, 6))
    wide = logits.astype(float)
    chances = np.exp(wide) / np.exp(wide).sum(-1, keepdims=True)
    losses = -np.log(np.take_along_axis(chances, label[..., None], -1))[..., 0]
    assert value(perplexity(), logits, label) == pytest.approx(math.exp(losses.mean()))
    label[0, :3] = -100
    kept = losses[label >= 0]
    assert value(perplexity(), logits, label) == pytest.approx(math.exp(kept.mean()))


def test_noise_is_the_share_of_the_energy() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=(20, 7)).astype(np.float32)
    two = one + 0.1 * rng.normal(size=(20, 7)).astype(np.float32)
    scores = Scores(metric_of("noise"))
    for at in range(0, 20, 5):
        scores.add({"y": one[at : at + 5]}, {"y": two[at : at + 5]}, None)
    change = scores.change()
    assert change is not None
    assert change.before == 0.0
    assert change.drop == pytest.approx(np.square(two - one).sum() / np.square(one).sum(), rel=1e-5)
    ruined = Scores(metric_of("noise"))
    ruined.add({"y": one}, {"y": two * np.nan}, None)
    broken = ruined.change()
    assert broken is not None
    assert broken.drop > 1e6


def test_agreement_is_against_the_first_model() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=(100, 7)).astype(np.float32)
    two = one + rng.normal(size=(100, 7)).astype(np.float32)
    scores = Scores(agreement())
    scores.add({"y": one}, {"y": two}, None)
    change = scores.change()
    assert change is not None
    assert change.before == 1.0
    assert change.after == pytest.approx((one.argmax(1) == two.argmax(1)).mean())
    assert change.drop == pytest.approx(1 - change.after)
    assert not change.within_noise


def test_positions_of_one_image_are_one_unit_of_agreement() -> None:
    rng, scores = np.random.default_rng(3), Scores(agreement())
    for _ in range(12):
        one = rng.normal(size=(1, 4, 16, 16)).astype(np.float32)
        two = one if rng.random() < 0.5 else one[:, ::-1]  # wholly the same, or wholly not
        scores.add({"y": one}, {"y": two}, None)
    change = scores.change()
    assert change is not None
    assert change.units == 12
    assert change.change is not None
    assert change.change.high - change.change.low > 0.3  # as of 12 tosses, not of 3,072


def test_what_is_no_number_is_no_hit() -> None:
    nothing = np.full((3, 4), np.nan, np.float32)
    assert value(top(1), nothing, np.array([1, 2, 3])) == 0.0
    scores = Scores(agreement())
    scores.add({"y": nothing}, {"y": nothing}, None)
    change = scores.change()
    assert change is not None
    assert change.after == 0.0


def test_what_fits_the_labels_is_found() -> None:
    classes, label = {"y": np.zeros((4, 20), np.float32)}, np.zeros(4, np.int64)
    assert [metric.name for metric in fitting(classes, label)] == ["top-1", "top-5"]
    tokens = {"y": np.zeros((1, 6, 20), np.float32)}
    names = [metric.name for metric in fitting(tokens, np.zeros((1, 6), np.int64))]
    assert names == ["perplexity", "top-1"]
    assert fitting(classes, np.zeros((4, 5), np.float32)) == ()
    assert fitting({"y": np.zeros((4, 1), np.float32)}, label) == ()
    assert fitting(classes, label + 20) == ()


def test_labels_that_do_not_fit_are_told() -> None:
    logits = {"y": np.zeros((4, 20), np.float32)}
    for label, said in [
        (None, "no label"),
        (np.zeros(3, np.int64), "do not fit"),
        (np.full(4, 20), "has 20 classes"),
    ]:
        with pytest.raises(ModelError, match=said):
            top(1).score(logits, label)
    with pytest.raises(ModelError, match="no output 'z'"):
        top(1, "z").score(logits, np.zeros(4, np.int64))


def test_a_metric_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_metric.py").write_text(
        "def near(outputs, label):\n    return -float(abs(outputs['y'] - label).mean())\n"
        "def broken(outputs, label):\n    return outputs['missing']\n"
    )
    monkeypatch.chdir(tmp_path)
    array, label = np.array([1.0, 3.0], np.float32), np.array([1.5, 2.5])
    assert value(metric_of("my_metric:near"), array, label) == pytest.approx(-0.5)
    with pytest.raises(UsageError, match=r"KeyError.*my_metric.py, line 4"):
        value(metric_of("my_metric:broken"), array, label)
    for text in ("my_metric:far", "no_such_module:f", "top2"):
        with pytest.raises(UsageError, match="metric"):
            metric_of(text)


def test_mcnemar_is_the_binomial_tail() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 0) == pytest.approx(2 / 2**5)
    assert mcnemar(2, 8) == pytest.approx(2 * sum(math.comb(10, k) for k in range(3)) / 2**10)
    assert mcnemar(4, 4) == 1.0
    assert 0 < mcnemar(4000, 4400) < 1e-4


def test_known_intervals() -> None:
    found = wilson(8, 10)  # Newcombe, "Two-sided confidence intervals for the single proportion"
    assert found.low == pytest.approx(0.4902, abs=1e-4)
    assert found.high == pytest.approx(0.9433, abs=1e-4)
    none = paired_shares(0, 0, 100)
    assert none.low < 0 < none.high
    assert paired_shares(20, 2, 100).high < 0


def test_intervals_of_paired_shares_hold_the_truth() -> None:
    rng = np.random.default_rng(3)
    truth, held = -0.03, 0
    for _ in range(400):
        kinds = rng.choice(3, size=200, p=[0.05, 0.02, 0.93])
        found = paired_shares(int((kinds == 0).sum()), int((kinds == 1).sum()), 200)
        held += found.low <= truth <= found.high
    assert held / 400 > 0.92


def test_intervals_of_means_hold_the_truth() -> None:
    rng = np.random.default_rng(4)
    held = 0
    for seed in range(200):
        one = rng.normal(1.0, 0.3, 60)
        two = one + rng.normal(0.1, 0.2, 60)
        scores = np.stack([one * 5, two * 5, np.full(60, 5.0)], axis=1)
        found = bootstrap(scores, exponential=False, seed=seed)
        assert found is not None
        held += found.low <= 0.1 <= found.high
    assert held / 200 > 0.88
    assert bootstrap(scores[: LEAST_UNITS - 1], exponential=False, seed=0) is None
    holed = scores.copy()
    holed[3, 1] = np.nan
    assert bootstrap(holed, exponential=False, seed=0) is None


def test_intervals_of_few_units_hold_the_truth() -> None:
    rng, held = np.random.default_rng(11), 0
    for seed in range(300):
        moved = rng.normal(0.3, 1.0, LEAST_UNITS)
        scores = np.stack([np.zeros(LEAST_UNITS), moved, np.ones(LEAST_UNITS)], axis=1)
        found = bootstrap(scores, exponential=False, seed=seed)
        assert found is not None
        held += found.low <= 0.3 <= found.high
    assert held / 300 > 0.92


def test_a_few_flips_are_noise_and_many_are_not() -> None:
    rng = np.random.default_rng(5)
    label = rng.integers(0, 10, 400)
    one = np.eye(10, dtype=np.float32)[label]
    for flips, noise in [(2, True), (40, False)]:
        two = one.copy()
        two[:flips] = np.roll(two[:flips], 1, axis=1)
        scores = Scores(top(1))
        scores.add({"y": one}, {"y": two}, label)
        change = scores.change()
        assert change is not None
        assert change.drop == pytest.approx(flips / 400)
        assert (change.lost, change.won) == (flips, 0)
        assert change.within_noise is noise


def test_what_mcnemar_calls_chance_is_no_change() -> None:
    label = np.zeros(64, int)
    one = np.eye(10, dtype=np.float32)[label]
    two = one.copy()
    one[:3], two[3:14] = np.roll(one[:3], 1, axis=1), np.roll(two[3:14], 1, axis=1)
    scores = Scores(top(1))
    scores.add({"y": one}, {"y": two}, label)
    change = scores.change()
    assert change is not None
    assert (change.lost, change.won) == (11, 3)
    assert change.chance is not None
    assert change.chance > 0.05
    assert change.within_noise


def test_users_scores_are_bootstrapped_over_samples() -> None:
    scores = Scores(own("mine", lambda outputs, label: float(outputs["y"].sum())))
    for at in range(30):
        y = np.full(2, at, np.float32)
        scores.add({"y": y}, {"y": y + 1}, None)
    change = scores.change()
    assert change is not None
    assert change.change is not None
    assert change.change.value == pytest.approx(2.0)
    assert change.units == 30
    assert Scores(top(1)).change() is None
