"""Running a model a few nodes at a time gives what running it whole gives, in little memory."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from onnxopt.layers import matrices, readers
from onnxopt.pruning.allocate import allocate, uniform
from onnxopt.pruning.frontier import Frontier, Shelf, shortcuts_first
from onnxopt.segments import reads
from tests.contract.corpus.build import normal
from tests.pruning.tools import (
    CHAIN,
    CHAIN_WEIGHTS,
    EXACT,
    RESIDUAL,
    RESIDUAL_WEIGHTS,
    context,
    images,
    read,
)

IMAGES = images(40, 3, 8, 8)


@pytest.mark.parametrize("step", [1, 2, 5, 100])
def test_steps_give_what_the_whole_gives(step: int) -> None:
    made = read(RESIDUAL, RESIDUAL_WEIGHTS)
    order = shortcuts_first(made.graph)
    with Frontier(made, order, IMAGES, context(IMAGES)) as frontier:
        for stop in range(step, len(order) + step, step):
            frontier.advance(min(stop, len(order)))
        for live, feeds in zip(frontier.live, IMAGES, strict=True):
            (found,) = (live[id(value)] for value in made.graph.outputs)
            np.testing.assert_allclose(found, EXACT(made, feeds)["y"], rtol=1e-5, atol=1e-6)


def test_only_what_is_still_read_is_held() -> None:
    made = read(RESIDUAL, RESIDUAL_WEIGHTS)
    order = shortcuts_first(made.graph)
    with Frontier(made, order, IMAGES, context(IMAGES)) as frontier:
        for stop in range(1, len(order) + 1):
            frontier.advance(stop)
            needed = {id(value) for node in order[stop:] for value in reads(node)}
            needed |= {id(value) for value in made.graph.outputs}
            assert all(live.keys() <= needed for live in frontier.live)


def test_weights_may_change_on_the_way() -> None:
    made = read(RESIDUAL, RESIDUAL_WEIGHTS)
    order = shortcuts_first(made.graph)
    changed = read(RESIDUAL, {**RESIDUAL_WEIGHTS, "w3": 2 * RESIDUAL_WEIGHTS["w3"]})
    with Frontier(made, order, IMAGES, context(IMAGES)) as frontier:
        frontier.advance(len(order) - 1)
        weight = made.graph.initializers["w3"]
        weight.const_value = changed.graph.initializers["w3"].const_value
        frontier.advance(len(order))
        (found,) = (frontier.live[0][id(value)] for value in made.graph.outputs)
    np.testing.assert_allclose(found, EXACT(changed, IMAGES[0])["y"], rtol=1e-5, atol=1e-6)


def test_arrays_beyond_the_room_lie_in_files(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, room=1000)
    arrays = [normal(100, seed=at) for at in range(4)]
    held = [shelf.put(array) for array in arrays]
    assert [isinstance(array, np.memmap) for array in held] == [False, False, True, True]
    for one, other in zip(held, arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(list(tmp_path.iterdir())) == 2
    shelf.drop(held[2])
    shelf.drop(held[0])
    assert len(list(tmp_path.iterdir())) == 1
    assert not isinstance(shelf.put(arrays[0]), np.memmap)


def test_the_shortcut_is_known_before_the_last_layer_of_its_branch() -> None:
    text = """
    g (float[N,3,8,8] x) => (float[N,4,8,8] y) {
      [one] a = Conv(x, w0)
      [two] b = Conv(a, w1)
      [side] s = Conv(x, w2)
      y = Add(b, s)
    }"""
    weights = {"w0": normal(6, 3, 1, 1), "w1": normal(4, 6, 1, 1), "w2": normal(4, 3, 1, 1)}
    order = shortcuts_first(read(text, weights).graph)
    assert [node.name for node in order if node.name] == ["side", "one", "two"]
    for at, node in enumerate(order):
        later = {id(value) for each in order[at:] for value in each.outputs}
        assert not any(id(value) in later for value in reads(node))


@pytest.mark.parametrize("each", [3, 1000])
def test_columns_times_weights_are_outputs_at_the_same_places(each: int) -> None:
    made = read(CHAIN, CHAIN_WEIGHTS)
    feeds = {"x": normal(5, 4, 6, 6)}
    random = np.random.default_rng(0)
    layers = [layer for node in made.graph if (layer := readers.read(node)) is not None]
    assert len(layers) == 5
    session = context([feeds]).open(
        made, [v for layer in layers for v in (layer.x, layer.output)][1:]
    )
    computed = {**feeds, **session.run(feeds)}
    for layer in layers:
        x, y = computed[layer.x.name or ""], computed[layer.output.name or ""]
        where = matrices.places(layer, x, each, random)
        columns = matrices.columns_at(layer, x, where)
        found = columns @ matrices.matrix(layer).transpose(0, 2, 1)
        if layer.bias is not None:
            found = found + readers.contents(layer.bias).reshape(len(found), 1, -1)
        np.testing.assert_allclose(
            found, matrices.outputs_at(layer, y, where), rtol=1e-4, atol=1e-5
        )


class Product:
    """Multiply-adds of a chain of layers: products of neighbouring widths."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self.sizes = sizes

    def total(self, widths: dict[str, int]) -> float:
        now = [4, *(widths.get(name, size) for name, size in self.sizes.items()), 4]
        return float(sum(a * b for a, b in itertools.pairwise(now)))


@pytest.mark.parametrize("seed", range(6))
def test_allocation_comes_close_to_the_best_where_savings_depend_on_one_another(seed: int) -> None:
    random = np.random.default_rng(seed)
    sizes = {"a": 8, "b": 12, "c": 8}
    estimate = Product(sizes)
    costs = {
        name: {w: float(random.uniform(0.5, 2) * (1 - w / size) ** 2) for w in range(size, 0, -1)}
        for name, size in sizes.items()
    }
    target = 0.5 * estimate.total({})
    found = allocate(costs, estimate, target)  # type: ignore[arg-type]
    assert found is not None
    assert estimate.total(found) <= target
    every = [
        dict(zip(sizes, w, strict=True)) for w in itertools.product(*(costs[n] for n in sizes))
    ]

    def cost(widths: dict[str, int]) -> float:
        return sum(max(costs[n][w] for w in range(widths[n], sizes[n] + 1)) for n in sizes)

    best = min(cost(widths) for widths in every if estimate.total(widths) <= target)
    assert cost(found) <= 1.15 * best
    assert allocate(costs, estimate, 5.0) is None  # type: ignore[arg-type]
    assert allocate(costs, estimate, estimate.total({})) == sizes  # type: ignore[arg-type]


def test_uniform_takes_the_same_share_of_all() -> None:
    sizes = {"a": 8, "b": 16}
    costs = {name: dict.fromkeys(range(1, size + 1), 1.0) for name, size in sizes.items()}
    found = uniform(costs, Product(sizes), 0.5 * Product(sizes).total({}))  # type: ignore[arg-type]
    assert found is not None
    assert abs(found["a"] / 8 - found["b"] / 16) <= 1 / 8
