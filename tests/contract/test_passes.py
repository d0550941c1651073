"""What every pass of the catalogue owes: held on every graph of the corpus, one test a promise."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import pytest

from onnxopt import catalogue, shapes
from onnxopt.backends._integer import X86_VNNI
from onnxopt.base import GENERIC, Context, Gate, Pass
from onnxopt.evaluate import evaluator
from onnxopt.feeds import random_samples
from onnxopt.fingerprint import fingerprint
from onnxopt.io import load
from onnxopt.pipeline import Pipeline
from onnxopt.quantization import ranges
from onnxopt.quantization.ranges import Range
from onnxopt.target import Feeds, Outputs
from onnxopt.verify import Honest, Tolerance, Verify, compare

EVALUATE = evaluator(catalogue.backend("cpu{optimization=off}"))
LOAD = catalogue.backend("cpu{threads=1}").open
TARGET = dataclasses.replace(
    GENERIC,
    integer=X86_VNNI,
    channel_block=16,
    probe_operators=catalogue.backend("cpu").target().probe_operators,
)
NO_RUNTIME = frozenset(("custom_domain",))
"""Graphs with an operator that no runtime here knows."""
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "fix-shapes": {"shapes": ("x=1,4",)},
    "prune/blocks": {"least": 1},
    "prune/magnitude": {"least": 1},
    "prune/outputs": {"keep": ("y",)},
    "prune/sparsegpt": {"least": 1},
    "prune/wanda": {"least": 1},
    "quantize/nbits": {"least": 1, "block": 16},
    "quantize/weights": {"least": 1},
    "raise-opset": {"to": 21},
}
"""Options without which a pass does nothing on the corpus."""

NAMED: Mapping[str, frozenset[str]] = {
    "fix-shapes": frozenset(("affine_chains", "gelu_tanh", "roots")),
    "prune/outputs": frozenset(("affine_chains", "matmul_add", "roots")),
}
"""The graphs that have what the options of a pass name."""

every_pass = pytest.mark.parametrize("name", catalogue.passes())
Files = Mapping[str, Path]


def made(name: str) -> Pass:
    """Return the pass with the options it needs to have something to do."""
    return catalogue.find_pass(name)(**OPTIONS.get(name, {}))


def can_run(step: Pass, graph_name: str) -> bool:
    """Return whether the pass gets what it needs to look at a graph."""
    if graph_name not in NAMED.get(step.name, (graph_name,)):
        return False
    return not (step.needs_samples and graph_name in NO_RUNTIME)


def runnable(step: Pass, files: Files) -> list[tuple[str, Path]]:
    """Return the graphs that the pass can look at, by name, and their files."""
    return [(name, file) for name, file in files.items() if can_run(step, name)]


def context_of(model: ir.Model, gate: Gate | None = None) -> Context:
    """Return a context with a runtime, samples, and integer kernels to quantize for."""
    samples = random_samples(model, evaluate=EVALUATE)
    return Context(
        target=TARGET, evaluate=EVALUATE, load=LOAD, samples=samples, gate=gate or Gate()
    )


def prepared(file: Path, *, inferred: bool = True) -> ir.Model:
    """Return a graph as it stands in a pipeline: with shapes and calibrated."""
    model = load(file)
    if inferred:
        shapes.infer(model)
    for value in (*model.graph.inputs, *(v for node in model.graph for v in node.outputs)):
        if value.dtype == ir.DataType.FLOAT:
            ranges.write(value, Range(low=-3.0, high=3.5))
    return model


@pytest.fixture(scope="module")
def files(corpus: Mapping[str, onnx.ModelProto], tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Return the corpus as files."""
    folder = tmp_path_factory.mktemp("corpus")
    for name, proto in corpus.items():
        onnx.save(proto, folder / f"{name}.onnx")
    return {name: folder / f"{name}.onnx" for name in corpus}


@pytest.fixture(scope="module")
def truth(files: Files) -> Mapping[str, tuple[Feeds, Outputs]]:
    """Return for every graph a set of feeds and what it computes from them."""
    known = {}
    for name, file in files.items():
        if name not in NO_RUNTIME:
            model = load(file)
            feeds = next(iter(random_samples(model, seed=7)))
            known[name] = (feeds, EVALUATE(model, feeds))
    return known


@every_pass
def test_does_something_somewhere(name: str, files: Files) -> None:
    step = made(name)
    asked = runnable(step, files)
    models = (prepared(file, inferred=name != "infer-shapes") for _, file in asked)
    assert any(step.run(model, context_of(model)) for model in models)


@every_pass
def test_keeps_structure_and_counts_honestly(name: str, files: Files) -> None:
    step = made(name)
    for _, file in runnable(step, files):
        model = prepared(file)
        Pipeline((step,)).run(model, context_of(model), [Verify(), Honest()])


@every_pass
def test_keeps_numbers(name: str, files: Files, truth: Mapping[str, tuple[Feeds, Outputs]]) -> None:
    step = made(name)
    if not step.lossless:
        pytest.skip("the pass says that it is not lossless")
    for graph_name, (feeds, expected) in truth.items():
        if not can_run(step, graph_name):
            continue
        model = prepared(files[graph_name])
        tolerance = Tolerance.of(model)
        if Pipeline((step,)).run(model, context_of(model)):
            found = compare(expected, EVALUATE(model, feeds), tolerance)
            assert not found.mismatches, graph_name


@every_pass
def test_records_no_shape_that_is_not_so(name: str, files: Files) -> None:
    step = made(name)
    for graph_name, file in runnable(step, files):
        model = prepared(file)
        if not step.run(model, context_of(model)):
            continue
        written = ir.serde.serialize_model(model)
        try:
            onnx.shape_inference.infer_shapes(written, strict_mode=True)
        except onnx.shape_inference.InferenceError as error:
            pytest.fail(f"{graph_name}: {error}")


@every_pass
def test_second_run_changes_nothing(name: str, files: Files) -> None:
    step = made(name)
    if not step.idempotent:
        pytest.skip("the pass says that it is not idempotent")
    for graph_name, file in runnable(step, files):
        model = prepared(file)
        context = context_of(model)
        step.run(model, context)
        assert step.run(model, context) == 0, graph_name


@every_pass
def test_is_deterministic(name: str, files: Files) -> None:
    step = made(name)
    for graph_name, file in runnable(step, files):
        one, other = prepared(file), prepared(file)
        sites = []
        for model in (one, other):
            context = context_of(model)
            Pipeline((step,)).run(model, context)
            sites.append(context.gate.applied)
        assert sites[0] == sites[1], graph_name
        assert fingerprint(one) == fingerprint(other), graph_name


@every_pass
def test_closed_gate_lets_nothing_through(name: str, files: Files) -> None:
    step = made(name)
    for graph_name, file in runnable(step, files):
        model = prepared(file)
        before = fingerprint(model)
        changes = step.run(model, context_of(model, Gate(limit=0)))
        assert changes == 0, graph_name
        assert fingerprint(model) == before, graph_name


@every_pass
def test_text_comes_back(name: str) -> None:
    text = str(Pipeline((made(name),)))
    assert str(Pipeline.parse(text)) == text
