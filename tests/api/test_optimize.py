"""The public functions: what they take, what they leave alone, what they return."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import onnxopt
from onnxopt import lossless
from onnxopt.base import Context, Observer, Pass
from onnxopt.errors import ModelError, OnnxoptError, UsageError, VerificationError
from onnxopt.fingerprint import fingerprint
from onnxopt.pipeline import Pipeline
from onnxopt.report import Report
from onnxopt.samples import Samples
from tests.passes.tools import model_of, random_feeds, run

TEXT = """(float[n,4] x, bool c) => (float[n,4] y) {
    w = Constant<value = float[4] {1, 2, 3, 4}>() v = Exp(w) a = Identity(x) b = Mul(a, v)
    d = If(c) <then_branch = t () => (float[n,4] p) { e = Exp(v) p = Mul(b, e) },
               else_branch = f () => (float[n,4] q) { q = Identity(b) }>
    g = local.twice(d) y = Relu(g) }
    <domain: "local", opset_import: ["" : 18]> twice (x) => (y) { y = Add(x, x) }"""


def proto() -> onnx.ModelProto:
    made: onnx.ModelProto = ir.to_proto(model_of(TEXT))
    made.opset_import.append(onnx.helper.make_opsetid("local", 1))
    return made


def as_model(_: Path) -> ir.Model:
    return ir.from_proto(proto())


def as_message(_: Path) -> onnx.ModelProto:
    return proto()


def as_path(folder: Path) -> Path:
    onnx.save(proto(), folder / "model.onnx")
    return folder / "model.onnx"


def as_text(folder: Path) -> str:
    return str(as_path(folder))


def equal(before: onnx.ModelProto, after: ir.Model) -> None:
    """Assert that two models compute the same."""
    for size in (2, 3):
        feeds = random_feeds(before, size)
        wanted, got = run(before, feeds), run(ir.to_proto(after), feeds)
        assert wanted.keys() == got.keys()
        for name in wanted:
            np.testing.assert_allclose(got[name], wanted[name], rtol=1e-5)


@pytest.mark.parametrize("source", [as_model, as_message, as_path, as_text])
def test_models_of_all_kinds(source: Callable[[Path], Any], tmp_path: Path) -> None:
    small = onnxopt.optimize(source(tmp_path))
    assert isinstance(small, ir.Model)
    assert len(small.graph) < 8
    assert not small.functions
    equal(proto(), small)


def test_the_model_given_stays_as_it_is() -> None:
    given = as_model(Path())
    before = fingerprint(given)
    message = proto()
    bytes_before = message.SerializeToString()
    for options in ({}, {"opset": 21, "shapes": ["x=2,4"]}, {"verify": "each"}):
        onnxopt.optimize(given, **options)
        onnxopt.optimize(message, **options)
    assert fingerprint(given) == before
    equal(proto(), given)
    assert message.SerializeToString() == bytes_before


def test_the_result_is_a_model_of_its_own() -> None:
    given = as_model(Path())
    small = onnxopt.optimize(given, pipeline="dce")
    assert small is not given
    small.graph.inputs[0].name = "other"
    assert given.graph.inputs[0].name == "x"


def test_twice_is_once() -> None:
    once = onnxopt.optimize(proto())
    twice, report = onnxopt.optimize_with_report(once)
    assert fingerprint(twice) == fingerprint(once)
    assert report.before.operators == report.after.operators


def test_equal_seeds_give_equal_results() -> None:
    one, other = (onnxopt.optimize(proto(), seed=3) for _ in range(2))
    assert fingerprint(one) == fingerprint(other)


def test_load_and_save(tmp_path: Path) -> None:
    path = as_path(tmp_path)
    small = onnxopt.optimize(onnxopt.load(path))
    onnxopt.save(small, tmp_path / "small.onnx")
    assert fingerprint(onnxopt.load(tmp_path / "small.onnx")) == fingerprint(small)


def test_pipelines_as_text_and_as_values() -> None:
    by_text = onnxopt.optimize(proto(), pipeline="inline, dce")
    by_value = onnxopt.optimize(proto(), pipeline=Pipeline.parse("inline, dce"))
    assert fingerprint(by_text) == fingerprint(by_value)
    less = onnxopt.optimize(proto(), pipeline="inline, dce", skip=["inline"])
    assert less.functions


def test_the_report_can_be_repeated() -> None:
    small, report = onnxopt.optimize_with_report(
        proto(), pipeline="repeat(inline, fold-constants), dce", shapes=["x=2,4"], opset=20
    )
    assert isinstance(report, Report)
    assert report.pipeline.startswith('fix-shapes{shapes=["x=2,4"]}, inline, raise-opset')
    again = onnxopt.optimize(proto(), pipeline=report.pipeline)
    assert fingerprint(again) == fingerprint(small)
    counted = {record.name: record.changes for record in report.passes}
    assert counted["fix-shapes"] > 0
    assert counted["inline"] == 1
    assert report.after.nodes < report.before.nodes
    assert report.verification.statement.startswith("outputs equal ")
    assert set(report.to_dict()) >= {"pipeline", "passes", "before", "after", "verification"}


def test_old_files_take_constants_that_are_no_inputs() -> None:
    text = "(float[n,4] x, float[4] w) => (float[n,4] y) { v = Exp(w) y = Add(x, v) }"
    model = model_of(text, opset=7)
    model.ir_version = 3
    weight = model.graph.inputs[1]
    weight.const_value = ir.tensor(np.ones(4, np.float32))
    model.graph.register_initializer(weight)
    before = ir.to_proto(model)
    small = onnxopt.optimize(model, pipeline="fold-constants, dce", strict=True)
    assert [node.op_type for node in small.graph] == ["Add"]
    assert small.ir_version >= 4
    feeds = {"x": np.ones((2, 4), np.float32)}
    np.testing.assert_array_equal(run(ir.to_proto(small), feeds)["y"], run(before, feeds)["y"])


def test_samples_of_ones_own(tmp_path: Path) -> None:
    feeds = [random_feeds(proto(), size) for size in (2, 5)]
    np.savez(tmp_path / "0.npz", allow_pickle=False, **feeds[0])
    for samples in (Samples.of(feeds), tmp_path, str(tmp_path)):
        _, report = onnxopt.optimize_with_report(proto(), samples=samples)
        assert report.verification.statement.startswith("outputs equal ")


class Wrong(Pass):
    """Relu becomes Abs, which is right for what is not negative."""

    name = "wrong"

    def run(self, model: ir.Model, context: Context) -> int:
        count = 0
        for node in model.graph:
            value = node.outputs[0].name or ""
            if node.op_type == "Relu" and context.gate.permit("abs", value):
                node.op_type = "Abs"
                count += 1
        return count


def test_a_wrong_pass_is_left_out_or_stops_the_run() -> None:
    steps = Pipeline.of([*Pipeline.parse("inline").steps, Wrong(), *Pipeline.parse("dce").steps])
    small, report = onnxopt.optimize_with_report(proto(), pipeline=steps)
    equal(proto(), small)
    (left_out,) = report.verification.quarantined
    assert left_out.startswith("wrong (abs) at 'y'")
    with pytest.raises(VerificationError, match=r"wrong \(abs\) at 'y'"):
        onnxopt.optimize(proto(), pipeline=steps, strict=True)
    unverified = onnxopt.optimize(proto(), pipeline=steps, verify="off")
    assert "Abs" in [node.op_type for node in unverified.graph]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"pipeline": "dce, nothing"}, UsageError),
        ({"target": "nothing"}, UsageError),
        ({"skip": ["nothing"]}, UsageError),
        ({"shapes": ["nothing=1"]}, UsageError),
        ({"opset": 999}, UsageError),
        ({"samples": "no/such/folder"}, ModelError),
    ],
)
def test_errors(options: dict[str, Any], kind: type[OnnxoptError]) -> None:
    with pytest.raises(kind):
        onnxopt.optimize(proto(), **options)


def test_models_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    for source in (tmp_path / "none.onnx", str(tmp_path), tmp_path / "broken.onnx"):
        with pytest.raises(ModelError) as raised:
            onnxopt.optimize(source)
        assert "\n" not in str(raised.value)


def test_there_is_nothing_else() -> None:
    for name in onnxopt.__all__:
        assert getattr(onnxopt, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        onnxopt.nothing  # noqa: B018
    assert Observer().before(Wrong(), as_model(Path())) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("y = Relu(x)", "18 to 20, by which this model gains no operator; for older"),
        ("g = Gelu(x) y = Swish(g)", "18 to 20, for Gelu, Swish; for older runtimes: --skip"),
    ],
)
def test_what_a_raised_operator_set_is_for(body: str, told: str) -> None:
    model = model_of(f"(float[n,4] x) => (float[n,4] y) {{ {body} }}", opset=20)
    assert told in lossless.raised(18, model, "--skip")
