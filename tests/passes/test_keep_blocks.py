"""Squeeze and excitation in the blocks of channels of convolutions."""

from __future__ import annotations

import collections
import dataclasses
import platform
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from onnxopt import shapes
from onnxopt.base import GENERIC, Context
from onnxopt.passes.forget_shapes import ForgetShapes
from onnxopt.pipeline import Pipeline
from tests.passes.tools import random_feeds, run
from tests.passes.weights import ints, model, normal

TARGET = dataclasses.replace(GENERIC, channel_block=16)

BODY = """{
    f = Conv<pads=[1,1,1,1]>(x, wf)
    h = Sigmoid(f)
    g = Mul(f, h)
    a = MEAN
    b = Conv(a, w1)
    c = Relu(b)
    d = Conv(c, w2)
    e = Sigmoid(d)
    s = Mul(g, e)
    y = Conv(s, wp)
}"""
POOLED = "GlobalAveragePool(g)"
REDUCED = "ReduceMean<keepdims=1>(g, axes)"
SIDES = "(float[N,16,6,5] x) => (float[N,16,6,5] y)"


def network(
    *, mean: str = POOLED, channels: int = 32, sides: str = SIDES, body: str = BODY
) -> ir.Model:
    """Return a block of convolutions in which a branch weighs the channels."""
    weights = {
        "wf": normal(channels, 16, 3, 3),
        "w1": normal(8, channels, 1, 1),
        "w2": normal(channels, 8, 1, 1),
        "wp": normal(16, channels, 1, 1),
        "axes": ints(-1, 2),
        "slope": normal(channels, 1, 1),
    }
    made = model(f"{sides} {body.replace('MEAN', mean)}", weights)
    shapes.infer(made)
    return made


def kept(made: ir.Model) -> int:
    """Run the pass for a target with blocks; return its changes."""
    return Pipeline.parse("keep-blocks").run(made, Context(target=TARGET))


def executed(made: ir.Model, folder: Path) -> collections.Counter[str]:
    """Count the operators that ONNX Runtime runs after its own optimization."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "executed.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(ir.to_proto(made).SerializeToString(), options, ["CPUExecutionProvider"])
    graph = onnx.load(folder / "executed.onnx").graph
    return collections.Counter(node.op_type for node in graph.node)


@pytest.mark.parametrize(("mean", "changes"), [(POOLED, 1), (REDUCED, 2)])
def test_the_numbers_stay(mean: str, changes: int) -> None:
    made = network(mean=mean)
    before = ir.to_proto(made)
    assert kept(made) == changes
    after = ir.to_proto(made)
    onnx.checker.check_model(after, full_check=True)
    for size in (1, 3):
        feeds = random_feeds(before, size)
        np.testing.assert_allclose(
            run(after, feeds)["y"], run(before, feeds)["y"], rtol=1e-5, atol=1e-5
        )


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the runtime has blocks on x86")
@pytest.mark.parametrize("mean", [POOLED, REDUCED])
def test_the_runtime_reorders_less(mean: str, tmp_path: Path) -> None:
    made = network(mean=mean)
    before = executed(made, tmp_path)
    kept(made)
    ForgetShapes().run(made, Context())
    after = executed(made, tmp_path)
    assert after["Upsample"] == 1
    assert sum(after.values()) < sum(before.values())
    reorders = [count["ReorderInput"] + count["ReorderOutput"] for count in (before, after)]
    assert reorders[1] <= reorders[0] - 3


@pytest.mark.parametrize(
    "made",
    [
        network(channels=24),
        network(sides="(float[N,16,H,W] x) => (float[N,16,H,W] y)"),
        network(body=BODY.replace("g = Mul(f, h)", "g = Elu(f)")),
        network(body=BODY.replace("g = Mul(f, h)", "g = PRelu(f, slope)")),
        network(body=BODY.replace("Conv(s, wp)", "Sin(s)"), channels=16),
        network(body=BODY.replace("e = Sigmoid(d)", "e = Softplus(d)")),
    ],
    ids=["channels", "free plane", "elu", "prelu", "read by another", "gate"],
)
def test_what_is_not_in_blocks_is_left(made: ir.Model) -> None:
    assert kept(made) == 0


def test_a_target_without_blocks_gets_none() -> None:
    made = network(mean=REDUCED)
    assert Pipeline.parse("keep-blocks").run(made, Context()) == 0


def test_a_mean_that_another_operator_reads_is_left() -> None:
    flat = BODY.replace("Conv(a, w1)", "Conv(k, w1)").replace("a = MEAN", "a = MEAN k = Abs(a)")
    assert kept(network(mean=REDUCED, body=flat)) == 1
