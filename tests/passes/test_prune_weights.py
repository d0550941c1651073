"""Zeros in weights: the right ones, on samples where they are asked for, and only where asked."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt import catalogue, graph, shapes
from onnxopt.base import Context
from onnxopt.errors import UsageError
from onnxopt.pipeline import Pipeline
from onnxopt.samples import Samples
from tests.passes import weights
from tests.passes.tools import run

LOAD = catalogue.backend("cpu{threads=1}").open

TWO_LAYERS = """(float[N,8,6,6] x) => (float[N,12] y) {
  c = Conv<pads=[1,1,1,1]>(x, w, b)
  r = Relu(c)
  p = GlobalAveragePool(r)
  f = Flatten(p)
  y = Gemm<transB=1>(f, v, d)
}"""


def model() -> ir.Model:
    made = weights.model(
        TWO_LAYERS,
        {
            "w": weights.normal(16, 8, 3, 3),
            "b": weights.normal(16),
            "v": weights.normal(12, 16) * 3,
            "d": weights.normal(12),
        },
    )
    shapes.infer(made)
    return made


def samples() -> Samples:
    """Return inputs whose channels differ by three orders of magnitude."""
    random = np.random.default_rng(0)
    sizes = np.logspace(-2, 1, 8).reshape(1, 8, 1, 1)
    made = [{"x": (random.normal(size=(4, 8, 6, 6)) * sizes).astype(np.float32)} for _ in range(8)]
    return Samples.of(made)


def pruned(text: str, source: ir.Model | None = None) -> ir.Model:
    made = source or model()
    Pipeline.parse(text).run(made, Context(load=LOAD, samples=samples()))
    return made


def weight(made: ir.Model, name: str) -> np.ndarray:
    found = graph.array(made.graph.initializers[name])
    assert found is not None
    return found


def zeros(made: ir.Model, name: str) -> float:
    return float((weight(made, name) == 0).mean())


def error(text: str) -> float:
    """Return how far the outputs move on other samples, as a share of what they are."""
    random = np.random.default_rng(9)
    moved = random.normal(size=(4, 8, 6, 6)).astype(np.float32) / 9
    feeds = {"x": next(iter(samples()))["x"] + moved}
    before = run(ir.to_proto(model()), feeds)["y"]
    after = run(ir.to_proto(pruned(text)), feeds)["y"]
    return float(((after - before) ** 2).sum() / ((before - before.mean()) ** 2).sum())


@pytest.mark.parametrize("name", ["magnitude", "wanda", "sparsegpt"])
def test_half_of_each_weight_goes_and_biases_stay(name: str) -> None:
    made = pruned(f"prune/{name}{{least=0}}")
    assert zeros(made, "w") == pytest.approx(0.5, abs=0.01)
    assert zeros(made, "v") == pytest.approx(0.5, abs=0.01)
    assert zeros(made, "b") == 0


def test_the_samples_help() -> None:
    magnitude, wanda, obs = (
        error(f"prune/{name}{{least=0}}") for name in ("magnitude", "wanda", "sparsegpt")
    )
    assert obs < wanda < magnitude


def test_of_a_layer_the_smallest_go() -> None:
    before, after = weight(model(), "w"), weight(pruned("prune/magnitude"), "w")
    assert np.abs(before[after == 0]).max() <= np.abs(before[after != 0]).min()


def test_of_the_model_the_smallest_go() -> None:
    made = pruned("prune/magnitude{ratio=0.6, scope=model, least=0}")
    lost = [np.abs(weight(model(), name)[weight(made, name) == 0]) for name in ("w", "v")]
    kept = [np.abs(weight(model(), name)[weight(made, name) != 0]) for name in ("w", "v")]
    assert np.concatenate(lost).max() <= np.concatenate(kept).min()
    assert zeros(made, "w") > 0.6 > zeros(made, "v")


@pytest.mark.parametrize("name", ["magnitude", "wanda", "sparsegpt"])
def test_two_of_four_channels_stay_at_every_tap(name: str) -> None:
    made = pruned(f"prune/{name}{{keep=2, of=4, least=0}}")
    kept = weight(made, "w") != 0
    assert (kept.reshape(16, 2, 4, 3, 3).sum(axis=2) == 2).all()
    assert ((weight(made, "v") != 0).reshape(12, 4, 4).sum(axis=2) == 2).all()


def test_a_layer_whose_channels_do_not_fill_blocks_stays() -> None:
    assert zeros(pruned("prune/magnitude{keep=3, of=6, least=0}"), "w") == 0


def test_a_threshold_takes_what_is_below_it() -> None:
    before, after = weight(model(), "w"), weight(pruned("prune/threshold{below=0.5}"), "w")
    np.testing.assert_array_equal(after, np.where(np.abs(before) < 0.5, 0, before))


def test_a_relative_threshold_is_a_share_of_the_largest() -> None:
    before = weight(model(), "v")
    after = weight(pruned("prune/threshold{below=0.25, relative}"), "v")
    limit = 0.25 * np.abs(before).max()
    np.testing.assert_array_equal(after, np.where(np.abs(before) < limit, 0, before))


def test_names_choose() -> None:
    assert zeros(pruned("prune/magnitude{only=[Gemm], least=0}"), "w") == 0
    assert zeros(pruned("prune/magnitude{skip=[Gemm], least=0}"), "v") == 0


def test_weights_in_constant_nodes_are_pruned_too() -> None:
    made = weights.model(
        "(float[N,16] x) => (float[N,16] y) { w = Constant<value_float=1.0>() y = MatMul(x, w) }",
        {},
    )
    node = next(iter(made.graph))
    node.attributes.clear()
    node.attributes.add(ir.AttrTensor("value", ir.tensor(weights.normal(16, 16))))
    shapes.infer(made)
    assert Pipeline.parse("prune/magnitude").run(made, Context()) == 1
    stored = ir.to_proto(made).graph.node[0].attribute[0].t
    assert (np.frombuffer(stored.raw_data, np.float32) == 0).mean() == 0.5


@pytest.mark.parametrize(
    "text",
    [
        "prune/magnitude{ratio=1}",
        "prune/magnitude{keep=2}",
        "prune/magnitude{scope=model, keep=2, of=4}",
        "prune/threshold{below=0}",
    ],
)
def test_options_that_contradict_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Pipeline.parse(text).run(model(), Context())
