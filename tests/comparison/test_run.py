"""Two models are compared: what is equal is told so, and what is not, where and by how much."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import onnxopt
from onnxopt.comparison.report import CompareReport
from onnxopt.errors import BackendError, ModelError, UsageError
from onnxopt.samples import Sample, Samples
from tests.difference.disguise import network, node_of, renamed, reordered
from tests.passes.tools import model_of, run


def samples(count: int = 8, rows: int = 3, labels: bool = False) -> Samples:
    def read() -> Iterator[Sample]:
        rng = np.random.default_rng(0)
        for _ in range(count):
            x = rng.normal(size=(rows, 8)).astype(np.float32)
            label = rng.integers(0, 8, rows) if labels else None
            yield Sample({"x": x}, label)

    return Samples(read)


def spoiled(layer: int, factor: float = 1.5, layers: int = 6) -> ir.Model:
    """Return the network with one weight matrix that is wrong."""
    model = network(layers)
    held = model.graph.initializers[f"w_{layer}"]
    assert held.const_value is not None
    held.const_value = ir.tensor(held.const_value.numpy() * np.float32(factor), name=held.name)
    return model


def test_the_same_model_is_the_same_to_the_bit() -> None:
    report = onnxopt.compare(network(), renamed(network()), samples=samples())
    assert report.equal
    assert report.within
    assert report.verdict.startswith("the same to the bit, on 8 samples")


def test_rounding_is_told_from_more_than_rounding() -> None:
    one = model_of("(float[n,8] x) => (float[n,8] y) { a = Mul(x, x) y = Add(a, x) }")
    text = "(float[n,8] x) => (float[n,8] y) <float k = {%s}> { b = Add(x, k) y = Mul(x, b) }"
    assert onnxopt.compare(one, model_of(text % "1"), samples=samples()).within
    report = onnxopt.compare(one, model_of(text % "1.001"), samples=samples())
    assert not report.within
    assert "differs by" in report.faults[0]


def test_errors_are_those_of_numpy() -> None:
    one, other = network(6), spoiled(3)
    feeds = list(samples())
    expected, actual = (
        np.concatenate([run(ir.to_proto(model), feed)["y"] for feed in feeds]).astype(float)
        for model in (one, other)
    )
    (output,) = onnxopt.compare(one, other, samples=samples()).outputs
    noise = np.square(actual - expected).sum()
    sqnr = 10 * math.log10(np.square(expected).sum() / noise)
    assert output.errors.sqnr == pytest.approx(sqnr)
    worst = output.errors.absolute
    assert worst is not None
    assert worst.value == pytest.approx(np.abs(actual - expected).max())
    found = output.errors.agreement
    assert found is not None
    assert found.share == (expected.argmax(1) == actual.argmax(1)).mean()


@pytest.mark.parametrize("layer", range(6))
@pytest.mark.parametrize("disguise", [lambda m: m, renamed, functools.partial(reordered, seed=1)])
def test_a_wrong_layer_is_the_first_that_parts(layer: int, disguise: object) -> None:
    assert callable(disguise)
    report = onnxopt.compare(network(6), disguise(spoiled(layer)), samples=samples(), layers=True)
    assert report.parting is not None
    first = report.parting.first
    assert first is not None
    assert first.name == f"product_{layer}"
    assert report.parting.costly[0].name == first.name
    assert all(
        found.sqnr == math.inf for found in report.parting.layers if found.place < first.place
    )


def test_equal_models_do_not_part() -> None:
    report = onnxopt.compare(network(6), renamed(network(6)), samples=samples(), layers=True)
    assert report.parting is not None
    assert report.parting.first is None
    assert len(report.parting.layers) == len(network(6).graph)
    assert "do not part" in str(report)


def test_layers_see_through_fusion_and_names_that_mean_something_else() -> None:
    w, b = (",".join(map(str, np.linspace(-1, 1, n))) for n in (64, 8))
    head = f"(float[4,8] x) => (float[4,8] y) <float[8,8] w = {{{w}}}, float[8] b = {{{b}}}>"
    one = model_of(head + "{ p = MatMul(x, w) s = Add(p, b) t = Tanh(s) y = Exp(t) }")
    other = model_of(head + "{ p = Gemm(x, w, b) r = Tanh(p) y = Exp(r) }")
    report = onnxopt.compare(one, other, layers=True)
    assert report.within
    assert report.parting is not None
    assert report.parting.first is None
    pairs = {layer.name: layer.other for layer in report.parting.layers if not layer.doubtful}
    assert pairs == {"s": "p", "t": "r", "y": "y"}


def test_precision_is_no_fault_of_the_signature() -> None:
    one = model_of("(float[n,8] x) => (float[n,8] y) { y = Tanh(x) }")
    other = model_of("(float16[n,8] x) => (float16[n,8] y) { y = Tanh(x) }")
    report = onnxopt.compare(one, other, samples=samples(), min_sqnr=50)
    assert report.within
    assert 50 < report.outputs[0].errors.sqnr < 90
    assert "cast" in " ".join(report.notes)
    assert not onnxopt.compare(one, other, samples=samples(), min_sqnr=120).within


def test_a_metric_and_its_drop() -> None:
    labelled = samples(60, labels=True)
    report = onnxopt.compare(network(6), spoiled(2), samples=labelled, max_drop=1.0)
    assert [change.name for change in report.metrics] == ["top-1"]
    assert report.metrics[0].units == 180
    assert report.within
    agreement = onnxopt.compare(network(6), spoiled(2), samples=samples(20), metrics=["agreement"])
    found = agreement.outputs[0].errors.agreement
    assert found is not None
    assert agreement.metrics[0].after == found.share
    with pytest.raises(UsageError, match="only for a metric"):
        onnxopt.compare(network(), network(), samples=samples(), max_drop=0.1)
    with pytest.raises(ModelError, match="no label"):
        onnxopt.compare(network(), network(), samples=samples(), metrics=["top1"])


def test_feeds_are_made_up_and_described() -> None:
    report = onnxopt.compare(network(), network())
    assert report.samples == 2
    assert "made up" in report.verdict


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("(float[n,8] x, float[n,8] z) => (float[n,8] y) { y = Add(x, z) }", "input 'z'"),
        ("(float[n,9] x) => (float[n,9] y) { y = Exp(x) }", r"float\[n, 9\]"),
        ("(int64[n,8] x) => (int64[n,8] y) { y = Abs(x) }", "int64"),
        ("(float[n,8] x) => (float[n,8] a, float[n,8] b) { a = Abs(x) b = Exp(x) }", "no output"),
    ],
)
def test_models_that_do_not_fit_are_told_so(other: str, said: str) -> None:
    one = model_of("(float[n,8] x) => (float[n,8] y) { y = Abs(x) }")
    with pytest.raises(ModelError, match=said):
        onnxopt.compare(one, model_of(other))


def test_what_only_one_has_is_out_of_bounds() -> None:
    one = model_of("(float[n,8] x) => (float[n,8] y) { y = Abs(x) }")
    other = model_of("(float[n,8] x) => (float[n,8] y, float[n,8] b) { y = Abs(x) b = Exp(x) }")
    report = onnxopt.compare(one, other)
    assert report.faults == ["output 'b' is in the second model only"]
    shape = model_of(
        "(float[n,8] x) => (float[m] y) <int64[1] k = {-1}> { a = Abs(x) y = Reshape(a, k) }"
    )
    assert "other types or shapes" in onnxopt.compare(one, shape).faults[0]


def test_nan_and_integers() -> None:
    one = model_of(
        "(float[n,8] x) => (float[n,8] y, int64[n,1] i) { y = Abs(x) i = ArgMax<axis=1>(x) }"
    )
    other = model_of(
        "(float[n,8] x) => (float[n,8] y, int64[n,1] i) { y = Sqrt(x) i = ArgMin<axis=1>(x) }"
    )
    report = onnxopt.compare(one, other, samples=samples())
    assert len(report.faults) == 2
    assert "NaN" in report.faults[0]
    assert "elements differ" in report.faults[1]
    assert json.loads(report.to_json())["within"] is False


def test_a_drop_that_nobody_can_tell_is_out_of_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lost.py").write_text("def nan(outputs, label):\n    return float('nan')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    report = onnxopt.compare(
        network(), network(), samples=samples(), metrics=["lost:nan"], max_drop=0.1
    )
    assert not report.within
    assert "no number" in str(report)


def test_the_parting_is_in_the_json_too() -> None:
    report = onnxopt.compare(network(6), spoiled(3), samples=samples(), layers=True)
    assert report.parting is not None
    assert report.parting.first is not None
    told = json.loads(report.to_json())
    assert told["parting"]["first"] == report.parting.first.name
    assert told["parting"]["costly"][0] == report.parting.costly[0].name


def test_noise_that_is_passed_on_comes_in_nowhere() -> None:
    report = onnxopt.compare(network(6), spoiled(1), samples=samples(), layers=True)
    assert report.parting is not None
    costly = report.parting.costly
    assert costly[0] is report.parting.first
    assert all(layer.above - layer.sqnr >= 6 for layer in costly)


def test_what_overflows_is_told_once() -> None:
    text = (
        "(float[n,8] x) => (float[n,8] y) <float k = {K}> { a = Mul(x, k) b = Exp(a) y = Abs(b) }"
    )
    one, other = (model_of(text.replace("K", k)) for k in ("1.0", "3e38"))
    report = onnxopt.compare(one, other, samples=samples(), layers=True)
    assert "-inf dB" not in str(report)


def test_the_runtime_itself_can_be_held_against_the_model() -> None:
    report: CompareReport = onnxopt.compare(network(), network(), optimization="all")
    assert report.within
    assert "optimized by the runtime" in report.targets[1]
    with pytest.raises(UsageError):
        onnxopt.compare(network(), network(), against_provider="nowhere")


def test_an_ill_conditioned_output_is_accepted_with_the_reason() -> None:
    """``(x + 1e4) - 1e4`` loses what rounding takes; both orders lose something else."""
    one = model_of(
        "(float[n,8] x) => (float[n,8] y) <float k={10000}> { a = Add(x, k) y = Sub(a, k) }"
    )
    other = model_of("(float[n,8] x) => (float[n,8] y) { y = Identity(x) }")
    report = onnxopt.compare(one, other, samples=samples())
    assert report.within
    assert report.outputs[0].excused is not None


def test_what_fails_in_one_model_says_which() -> None:
    one = model_of("(float[n,8] x) => (float[n,8] y) { y = Abs(x) }")
    other = node_of(one.clone(), "y")
    other.op_type = "NoSuchOperator"
    graph = other.graph
    assert isinstance(graph, ir.Graph)
    with pytest.raises(BackendError, match="refuses"):
        onnxopt.compare(one, ir.Model(graph, ir_version=10))


def test_what_fails_on_the_inputs_says_in_which() -> None:
    one = model_of("(int32[2] x) => (int32[2] y) { y = Abs(x) }")
    other = model_of("(int32[2] x) => (int32[2] y) { d = Sub(x, x) y = Div(x, d) }")
    other.graph.name = "divides"
    with pytest.raises(BackendError, match=r"^divides: the model does not run on these inputs"):
        onnxopt.compare(one, other)
