"""Small networks with channels, and what they are pruned on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt import catalogue, io, shapes
from onnxopt.base import Context
from onnxopt.evaluate import evaluator
from onnxopt.samples import Samples
from onnxopt.target import Feeds, Outputs
from tests.contract.corpus.build import Array, model, normal

EXACT = evaluator(catalogue.backend("cpu{optimization=off, threads=1}"))
LOAD = catalogue.backend("cpu{threads=1}").open

RESIDUAL = """
g (float[N,3,8,8] x) => (float[N,5] y) {
  s = Conv <pads = [1,1,1,1]> (x, w0, b0)
  r0 = Relu(s)
  [first] a = Conv <pads = [1,1,1,1]> (r0, w1, b1)
  ra = Relu(a)
  [second] c = Conv <pads = [1,1,1,1]> (ra, w2, b2)
  z = Add(c, r0)
  rz = Relu(z)
  p = GlobalAveragePool(rz)
  f = Flatten(p)
  y = Gemm <transB = 1> (f, w3, b3)
}"""
INNER, OUTER = 24, 12

CHAIN = """
g (float[N,4,6,6] x) => (float[N,3] y) {
  a = Conv <pads = [1,1,1,1]> (x, w0, b0)
  ra = Relu(a)
  d = Conv <pads = [1,1,1,1], group = 16> (ra, w1, b1)
  rd = Relu(d)
  b = Conv(rd, w2)
  rb = Relu(b)
  c = Conv(rb, w3, b3)
  p = GlobalAveragePool(c)
  q = Flatten(p)
  y = MatMul(q, w4)
}"""

BOTTLENECK = """
g (float[N,4,6,6] x) => (float[N,8] y) {
  s = Conv(x, w0)
  r = Relu(s)
  [wide] a = Conv(r, w1, b1)
  ra = Relu(a)
  [middle] b = Conv <pads = [1,1,1,1]> (ra, w2, b2)
  rb = Relu(b)
  c = Conv(rb, w3, b3)
  z = Add(r, c)
  rz = Relu(z)
  p = GlobalAveragePool(rz)
  y = Flatten(p)
}"""

FORWARD = """
g (float[N,T,16] x) => (float[N,T,16] y) {
  n = LayerNormalization(x, g0, c0)
  u = MatMul(n, w0)
  ub = Add(u, b0)
  r = Relu(ub)
  v = MatMul(r, w1)
  vb = Add(v, b1)
  y = Add(vb, x)
}"""


def weights(shapes_of: Mapping[str, Sequence[int]], seed: int = 0) -> dict[str, Array]:
    """Return weights that keep the size of what goes through them, and biases."""
    found = {}
    for at, (name, shape) in enumerate(shapes_of.items()):
        fan_in = math.prod(shape[1:]) if len(shape) > 1 else 16
        found[name] = normal(*shape, seed=seed + at) / np.float32(math.sqrt(fan_in))
    return found


RESIDUAL_WEIGHTS = weights(
    {
        "w0": (OUTER, 3, 3, 3),
        "b0": (OUTER,),
        "w1": (INNER, OUTER, 3, 3),
        "b1": (INNER,),
        "w2": (OUTER, INNER, 3, 3),
        "b2": (OUTER,),
        "w3": (5, OUTER),
        "b3": (5,),
    }
)
CHAIN_WEIGHTS = weights(
    {
        "w0": (16, 4, 3, 3),
        "b0": (16,),
        "w1": (16, 1, 3, 3),
        "b1": (16,),
        "w2": (20, 16, 1, 1),
        "w3": (12, 20, 1, 1),
        "b3": (12,),
        "w4": (12, 3),
    }
)
BOTTLENECK_WEIGHTS = weights(
    {
        "w0": (8, 4, 1, 1),
        "w1": (12, 8, 1, 1),
        "b1": (12,),
        "w2": (10, 12, 3, 3),
        "b2": (10,),
        "w3": (8, 10, 1, 1),
        "b3": (8,),
    }
)
FORWARD_WEIGHTS = weights(
    {"g0": (16,), "c0": (16,), "w0": (16, 40), "b0": (40,), "w1": (40, 16), "b1": (16,)}
)


def read(text: str, values: Mapping[str, Array]) -> ir.Model:
    """Return a model with shapes."""
    made = io.from_proto(model(text, values))
    shapes.infer(made)
    return made


def images(count: int, *shape: int, seed: int = 0) -> list[Feeds]:
    """Return smooth made-up images in batches of 16, so that neighbours depend on one another."""
    noise = normal(count, *shape, seed=seed)
    smooth = noise + np.roll(noise, 1, axis=-1) + np.roll(noise, 1, axis=-2)
    return [{"x": part} for part in np.array_split(smooth.astype(np.float32), -(-count // 16))]


def context(feeds: Sequence[Feeds]) -> Context:
    """Return what pruning runs models with."""
    return Context(evaluate=EXACT, load=LOAD, samples=Samples.of(feeds))


def energy(expected: Outputs, found: Outputs) -> float:
    """Return the error over the variance of the outputs."""
    pairs = [(expected[name], found[name]) for name in expected]
    missed = sum(float(np.square(one - other).sum()) for one, other in pairs)
    signal = sum(float(np.square(one - one.mean()).sum()) for one, _ in pairs)
    return missed / signal
