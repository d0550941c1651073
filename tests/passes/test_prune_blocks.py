"""Residual blocks: which there are, and that the one goes whose loss is least."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt import catalogue, shapes
from onnxopt.base import Context
from onnxopt.errors import UsageError
from onnxopt.passes.prune._residual import blocks
from onnxopt.pipeline import Pipeline
from onnxopt.samples import Samples
from tests.passes import weights
from tests.passes.tools import run

LOAD = catalogue.backend("cpu{threads=1}").open

TEXT = """(float[N,16] x) => (float[N,16] y) {
  h0 = MatMul(x, w0)
  a1 = MatMul(h0, w1)
  b1 = Relu(a1)
  c1 = MatMul(b1, v1)
  h1 = Add(h0, c1)
  a2 = MatMul(h1, w2)
  b2 = Relu(a2)
  c2 = MatMul(b2, v2)
  h2 = Add(c2, h1)
  e = Mul(h2, half)
  t = Tanh(e)
  s = Mul(e, t)
  g = Add(e, s)
  y = MatMul(g, w3)
}"""


def model(second: float = 0.01) -> ir.Model:
    """Return two residual blocks, the second of which adds little."""
    square = weights.normal(16, 16) / 4
    held = dict.fromkeys(("w0", "w1", "v1", "w2", "w3"), square)
    held |= {"v2": square * np.float32(second), "half": weights.number(0.5)}
    made = weights.model(TEXT, held)
    shapes.infer(made)
    return made


def context() -> Context:
    random = np.random.default_rng(0)
    made = [{"x": random.normal(size=(3, 16)).astype(np.float32)} for _ in range(4)]
    return Context(load=LOAD, samples=Samples.of(made))


def test_finds_blocks_with_weights_and_no_activations() -> None:
    found = {
        block.output.name: {node.outputs[0].name for node in block.nodes}
        for block in blocks(model(), 256)
    }

    assert found == {"h1": {"a1", "b1", "c1"}, "h2": {"a2", "b2", "c2"}}


@pytest.mark.parametrize(("second", "gone"), [(0.01, "c2"), (9.0, "c1")])
def test_the_block_that_matters_least_goes(second: float, gone: str) -> None:
    made = model(second)
    assert Pipeline.parse("prune/blocks, dce").run(made, context()) > 0
    left = {value.name for node in made.graph for value in node.outputs}
    assert gone not in left
    assert {"c1", "c2"} - {gone} < left


def test_what_is_left_computes_what_it_says() -> None:
    made = model()
    feeds = {"x": np.ones((2, 16), np.float32)}
    before = run(ir.to_proto(made), feeds)["y"]
    Pipeline.parse("prune/blocks").run(made, context())
    after = run(ir.to_proto(made), feeds)["y"]
    assert 0 < np.abs(after - before).max() < 0.05 * np.abs(before).max()


def test_no_more_blocks_go_than_there_are() -> None:
    made = model()
    assert Pipeline.parse("prune/blocks{count=5}").run(made, context()) == 2


def test_samples_are_asked_for() -> None:
    with pytest.raises(UsageError, match="samples"):
        Pipeline.parse("prune/blocks").run(model(), Context())
