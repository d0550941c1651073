"""Measure what it costs to tell two graphs of 20,000 nodes apart.

    python benchmarks/difference.py [--size 20000] [--rounds 5]

A residual chain is held against itself, against itself with one operator changed, and against that
under other names. Seconds are those of ``onnxopt.diff`` on models in memory, medians of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import onnx_ir as ir
from common import write_results

import onnxopt


def chain(size: int, *, changed: bool, renamed: bool) -> ir.Model:
    """Make a chain of MatMul, Add, Relu and Sigmoid with a weight a link."""
    rng = np.random.default_rng(0)
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(["n", 8]))
    value, nodes, weights = x, [], []
    for link in range(size // 4):
        held = ir.tensor(rng.normal(size=(8, 8)).astype(np.float32), name=f"w_{link}")
        weights.append(ir.Value(name=held.name, const_value=held))
        last = "Tanh" if changed and link == size // 8 else "Sigmoid"
        product = ir.node("MatMul", [value, weights[-1]])
        total = ir.node("Add", [product.outputs[0], value])
        active = ir.node("Relu", [total.outputs[0]])
        nodes += [product, total, active, ir.node(last, [active.outputs[0]])]
        for at, node in enumerate(nodes[-4:]):
            node.outputs[0].name = f"r_{7 * link}_{at}" if renamed else f"v_{link}_{at}"
        value = nodes[-1].outputs[0]
    graph = ir.Graph(
        [x], [value], nodes=nodes, initializers=weights, opset_imports={"": 18}, name="chain"
    )
    return ir.Model(graph, ir_version=10)


def seconds(one: ir.Model, other: ir.Model, hunks: int, rounds: int) -> float:
    """Return the median of some comparisons, each of which must find so many hunks."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        found = onnxopt.diff(one, other)
        times.append(time.perf_counter() - started)
        if len(found.hunks) != hunks:
            raise SystemExit(f"{len(found.hunks)} hunks where there are {hunks}")
    return statistics.median(times)


def main() -> None:
    """Measure and write ``results/difference.json``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=20_000, help="nodes of either graph")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    base = chain(options.size, changed=False, renamed=False)
    found = {}
    for name, changed, renamed in (
        ("itself", False, False),
        ("one operator changed", True, False),
        ("one operator changed, all renamed", True, True),
    ):
        other = chain(options.size, changed=changed, renamed=renamed)
        found[name] = seconds(base, other, int(changed), options.rounds)
        print(f"{name}: {found[name]:.2f} s")
    print(write_results("difference", {"nodes": options.size, "seconds": found}))


if __name__ == "__main__":
    main()
