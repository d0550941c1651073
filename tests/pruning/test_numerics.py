"""The mathematics of pruning, held against formulas and searches written in another way."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxopt.layers import matrices, readers
from onnxopt.pruning import importance
from onnxopt.pruning.elimination import Reader, eliminate
from onnxopt.pruning.knapsack import Option, knapsack
from onnxopt.pruning.moments import Moments
from onnxopt.pruning.refit import RIDGE, Affine, Refit, chosen_ridge, error
from onnxopt.pruning.seen import Seen
from tests.contract.corpus.build import normal
from tests.pruning.tools import EXACT, read


def correlated(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Return samples whose columns depend on one another and have means."""
    mixed = random.normal(size=(rows, columns)) @ random.normal(size=(columns, columns))
    return mixed + random.normal(size=columns)


def moments_of(x: np.ndarray, t: np.ndarray, parts: int = 3) -> Moments:
    """Add up samples in parts."""
    found = Moments(1, x.shape[1], t.shape[1])
    for one, other in zip(np.array_split(x, parts), np.array_split(t, parts), strict=True):
        found.add(one[None], other[None])
    return found


@pytest.mark.parametrize("has_bias", [True, False])
def test_refit_is_least_squares(has_bias: bool) -> None:
    random = np.random.default_rng(1)
    x, t = correlated(random, 300, 8), random.normal(size=(300, 3)) + 2
    kept = np.array([1, 1, 0, 1, 1, 0, 1, 1], bool)
    start = Affine(random.normal(size=(1, 3, 8)), np.zeros((1, 3)))
    moments = moments_of(x, t)
    found = Refit(moments, start, kept, has_bias=has_bias, ridge=1e-12).to(moments)
    design = np.column_stack([x[:, kept], np.ones(300)]) if has_bias else x[:, kept]
    expected = np.linalg.lstsq(design, t, rcond=None)[0]
    np.testing.assert_allclose(found.weight[0][:, kept].T, expected[: kept.sum()], rtol=1e-6)
    assert not found.weight[0][:, ~kept].any()
    if has_bias:
        np.testing.assert_allclose(found.bias[0], expected[-1], rtol=1e-6)


def test_error_is_the_residual_over_the_variance() -> None:
    random = np.random.default_rng(2)
    x, t = correlated(random, 200, 5), random.normal(size=(200, 4)) - 1
    fitted = Affine(random.normal(size=(1, 4, 5)), random.normal(size=(1, 4)))
    residual = t - x @ fitted.weight[0].T - fitted.bias[0]
    expected = np.square(residual).mean(0).sum() / t.var(0).sum()
    assert error(moments_of(x, t), fitted) == pytest.approx(expected)


def test_a_layer_that_is_right_stays() -> None:
    random = np.random.default_rng(3)
    x = random.normal(size=(50, 20)) * (np.arange(20) % 5 != 0)  # columns that are always zero
    before = Affine(random.normal(size=(1, 6, 20)), random.normal(size=(1, 6)))
    t = x @ before.weight[0].T + before.bias[0]
    moments = moments_of(x, t)
    found = Refit(moments, before, np.ones(20, bool)).to(moments)
    np.testing.assert_allclose(found.weight, before.weight, atol=1e-9)
    np.testing.assert_allclose(found.bias, before.bias, atol=1e-9)


@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("bounds", [(0.0, math.inf), (-1.0, 1.5)])
def test_what_an_activation_hides_is_left_free(shortcut: bool, bounds: tuple[float, float]) -> None:
    added, last = ("s = Add(h, x)", "s") if shortcut else ("", "h")
    activation = f"Relu({last})" if bounds[0] == 0 else f"Clip({last}, low, high)"
    text = (
        f"g (float[N,8] x) => (float[N,8] y) {{ h = Gemm(x, w, b)\n {added}\n y = {activation} }}"
    )
    weight, bias = normal(8, 8), normal(8, seed=1) - np.float32(1)
    low, high = np.array(bounds[0], np.float32), np.array(min(bounds[1], 1e30), np.float32)
    made = read(text, {"w": weight, "b": bias, "low": low, "high": high})
    layer = readers.read(made.graph[0])
    assert layer is not None
    assert readers.rectified(layer) == bounds
    x = normal(400, 8, seed=2)
    live = {id(layer.x): x, id(layer.output): x @ weight + bias}
    beside = (layer.x, layer.x) if shortcut else None
    seen = Seen(layer, layer, beside, [live], [live], np.random.default_rng(0))
    before = Affine(matrices.matrix(layer).astype(float), bias[None])
    kept = np.arange(8) < 5
    first, second = seen.moments()
    moments = first.joined(second)
    assert moments.count == first.count + second.count == 400
    refit = Refit(moments, before, kept, ridge=1e-9)
    fitted = refit.to(moments)

    def lost(found: Affine) -> float:
        sums = x @ found.weight[0].T + found.bias + (x if shortcut else 0)
        return float(np.square(np.clip(sums, *bounds) - EXACT(made, {"x": x})["y"]).sum())

    losses = [lost(fitted)]
    for _ in range(4):
        fitted = refit.to(seen.rectified(moments, fitted, bounds))
        losses.append(lost(fitted))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * losses[0]
    assert not fitted.weight[..., ~kept].any()


def test_few_rows_hold_weights_nearer_to_what_they_were() -> None:
    random = np.random.default_rng(5)
    before = Affine(random.normal(size=(1, 4, 60)), np.zeros((1, 4)))
    kept = np.ones(60, bool)

    def halves(rows: int) -> tuple[Moments, Moments]:
        x = random.normal(size=(2 * rows, 60))
        t = x @ before.weight[0].T + random.normal(size=(2 * rows, 4))
        return moments_of(x[:rows], t[:rows]), moments_of(x[rows:], t[rows:])

    assert chosen_ridge(*halves(40), before, kept) > RIDGE
    assert chosen_ridge(*halves(400), before, kept) == RIDGE


def test_refit_of_groups_is_refit_of_each() -> None:
    random = np.random.default_rng(4)
    x, t = random.normal(size=(3, 100, 4)), random.normal(size=(3, 100, 2))
    whole = Moments(3, 4, 2)
    whole.add(x, t)
    before = Affine(np.zeros((3, 2, 4)), np.zeros((3, 2)))
    found = Refit(whole, before, np.ones(4, bool)).to(whole)
    for at in range(3):
        moments = moments_of(x[at], t[at])
        alone = Refit(moments, Affine(*(a[at : at + 1] for a in before)), np.ones(4, bool))
        one = alone.to(moments)
        np.testing.assert_allclose(found.weight[at], one.weight[0])
        np.testing.assert_allclose(found.bias[at], one.bias[0])


def least_error(gram: np.ndarray, weight: np.ndarray, kept: np.ndarray) -> float:
    """Return what the best weights on some columns lose, over the signal."""
    inner = gram[np.ix_(kept, kept)]
    fitted = weight @ gram[:, kept] @ np.linalg.inv(inner)
    whole = np.zeros_like(weight)
    whole[:, kept] = fitted
    gap = weight - whole
    return float(np.trace(gap @ gram @ gap.T) / np.trace(weight @ gram @ weight.T))


@given(seed=st.integers(0, 10_000), taps=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_losses_are_those_of_the_best_compensation(seed: int, taps: int) -> None:
    random = np.random.default_rng(seed)
    units, least = 7, 2
    x = correlated(random, 400, units * taps)
    gram = np.cov(x.T, bias=True).reshape(units * taps, -1)
    weight = random.normal(size=(4, units * taps))
    columns = random.permutation(units * taps).reshape(units, taps)
    found = eliminate([Reader(weight=weight, gram=gram, columns=columns)], least, [5], ridge=0.0)
    for gone in range(1, units - least + 1):
        kept = np.setdiff1d(np.arange(units), found.order[:gone])
        expected = least_error(gram, weight, np.sort(columns[kept].reshape(-1)))
        assert found.errors[gone] == pytest.approx(expected, rel=1e-4, abs=1e-9)
    first = min(
        range(units),
        key=lambda u: least_error(gram, weight, np.sort(np.delete(columns, u, 0).reshape(-1))),
    )
    assert found.order[0] == first
    kept = np.setdiff1d(np.arange(units), found.order[:2])
    inside = np.sort(columns[kept].reshape(-1))
    best = weight @ gram[:, inside] @ np.linalg.inv(gram[np.ix_(inside, inside)])
    np.testing.assert_allclose(found.weights[5][0][:, inside], best, rtol=1e-4, atol=1e-7)


def test_units_that_nobody_needs_go_first_and_cost_nothing() -> None:
    random = np.random.default_rng(5)
    x = random.normal(size=(500, 10))
    x[:, 3] = 0.0
    x[:, 7] = x[:, 1] - 2 * x[:, 2]
    gram = x.T @ x / 500
    weights = [random.normal(size=(n, 10)) for n in (3, 6)]
    for weight in weights:
        weight[:, 5] = 0.0
    columns = np.arange(10)[:, None]
    readers = [Reader(weight=w, gram=gram, columns=columns) for w in weights]
    found = eliminate(readers, 4, ridge=1e-9)
    assert found.errors[3] < 1e-6
    assert {3, 5} < set(found.order[:3].tolist())
    assert set(found.order[:3].tolist()) & {1, 2, 7}


def test_many_units_go_several_at_a_time() -> None:
    random = np.random.default_rng(6)
    x = correlated(random, 2000, 200)
    reader = Reader(
        weight=random.normal(size=(8, 200)), gram=np.cov(x.T), columns=np.arange(200)[:, None]
    )
    found = eliminate([reader], 50, [150, 100], ridge=0.0)
    assert len(set(found.order.tolist())) == 150
    assert (np.diff(found.errors) >= 0).all()
    assert set(found.weights) == {150, 100}
    for left, (weight,) in found.weights.items():
        assert not weight[:, found.order[: 200 - left]].any()


@given(
    seed=st.integers(0, 10_000),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    share=st.floats(0.05, 0.95),
)
@settings(max_examples=60, deadline=None)
def test_knapsack_finds_the_cheapest(seed: int, sizes: list[int], share: float) -> None:
    random = np.random.default_rng(seed)
    groups = [
        [Option(0.0, 0.0), *(Option(*random.uniform(0.1, 1, 2).tolist()) for _ in range(size))]
        for size in sizes
    ]
    wanted = share * sum(max(o.saving for o in group) for group in groups)
    found = knapsack(groups, wanted)
    every = list(itertools.product(*(range(len(group)) for group in groups)))

    def total(choice: tuple[int, ...]) -> tuple[float, float]:
        taken = [group[at] for group, at in zip(groups, choice, strict=True)]
        return sum(o.cost for o in taken), sum(o.saving for o in taken)

    rounded = wanted * (1 + len(groups) / 4000)  # what the cells may ask beyond
    safe = [total(choice)[0] for choice in every if total(choice)[1] >= rounded]
    if found is None:
        assert not safe
        return
    cost, saving = total(tuple(found))
    assert saving >= wanted * (1 - 1e-6)
    assert not safe or cost <= min(safe) + 1e-9


def test_knapsack_says_where_nothing_saves_enough() -> None:
    groups = [[Option(0, 0), Option(1, 2)], [Option(0, 0), Option(1, 3)]]
    assert knapsack(groups, 5.001) is None
    assert knapsack(groups, 5.0) == [1, 1]
    assert knapsack(groups, 0.0) == [0, 0]


def test_importances_are_the_formulas() -> None:
    random = np.random.default_rng(7)
    rows = random.normal(size=(6, 5))
    np.testing.assert_allclose(importance.norm(rows, 1), np.abs(rows).sum(1))
    np.testing.assert_allclose(importance.norm(rows, 2), np.sqrt(np.square(rows).sum(1)))
    distances = [[np.linalg.norm(a - b) for b in rows] for a in rows]
    np.testing.assert_allclose(importance.geometric_median(rows), np.sum(distances, axis=1))
    weight, energy = random.normal(size=(3, 12)), random.uniform(1, 2, 12)
    columns = np.arange(12).reshape(6, 2)
    expected = [sum(np.abs(weight[:, c]).sum() * np.sqrt(energy[c]) for c in u) for u in columns]
    np.testing.assert_allclose(importance.wanda(weight, energy, columns), expected)
