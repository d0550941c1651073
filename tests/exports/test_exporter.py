"""What is taken from exporters, put right and refused, with a framework of our own."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from typer.testing import CliRunner

import onnxopt
from onnxopt import catalogue
from onnxopt.cli.app import app
from onnxopt.errors import ModelError, UsageError
from onnxopt.exporter import Request
from onnxopt.exporter.examples import resized
from onnxopt.exporter.notation import names, read
from onnxopt.graph import dims
from onnxopt.samples import Samples
from tests.exports.fakes import HEAD, exported
from tests.source import ROOT

RIGHT = "(float[n,3] x) => (float[n,3] y) { y = Exp(x) }"
WRONG = "(float[n,3] x) => (float[n,3] y) { t = Exp(x) y = Neg(t) }"
X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
OPEN = {"x": {0: "batch"}}


def exp(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(x))


def test_the_first_exporter_that_is_right_is_taken() -> None:
    texts = {"a": "cannot", "b": WRONG, "c": RIGHT, "d": RIGHT}
    model, report, subject = exported(exp, texts, Request(inputs=X, dynamic=OPEN))
    assert report.exporter == "c"
    assert [attempt.exporter for attempt in report.attempts] == ["a", "b", "c"]
    assert report.attempts[0].refused == "cannot"
    assert "computes something else" in (report.attempts[1].refused or "")
    assert [each.label.partition(" (")[0] for each in report.agreed] == [
        "the example",
        "other sizes",
        "the example with its signs changed",
    ]
    assert dims(model.graph.inputs[0]) == ("batch", 3)
    assert len(subject.traced) == 3
    assert "c, opset 20" in str(report)


def test_a_size_that_was_baked_in_is_named() -> None:
    baked = """(float[2,k] x) => (float[2,k] y) {
        s = Constant<value = int64[2] {2, 3}>() t = Exp(x) y = Reshape(t, s) }"""
    request = Request(inputs=X, dynamic={"x": {0: "batch", 1: "k"}})
    with pytest.raises(ModelError, match="the size of 'batch' and 'k' is baked in"):
        exported(exp, {"a": baked}, request)
    free = baked.replace("{2, 3}", "{-1, 3}")
    with pytest.raises(ModelError, match="the size of 'k' is baked in"):
        exported(exp, {"a": free}, request)


def test_a_branch_on_numbers_that_a_trace_lost_is_seen() -> None:
    one_sided = "(float[n,3] x) => (float[n,3] y) { y = Identity(x) }"
    with pytest.raises(ModelError, match="signs changed"):
        exported(lambda x: x if x.sum() > 0 else -x, {"a": one_sided}, Request(inputs=abs(X)))


def test_a_batch_of_one_is_exported_at_two() -> None:
    *_, subject = exported(exp, {"a": RIGHT}, Request(inputs=(X[:1],), dynamic=OPEN))
    assert subject.traced == [{"x": (2, 3)}]


def test_names_order_and_unused_inputs_are_kept() -> None:
    text = "(float[n,3] arg1, float[n,3] arg0) => (float[n,3] out) { out = Sub(arg0, arg1) }"

    def minus(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(b - a)

    feeds = {"a": X, "b": 2 * X + 1}
    model, report, _ = exported(minus, {"a": text}, Request(inputs=feeds))
    assert [value.name for value in model.graph.inputs] == ["a", "b"]
    assert [value.name for value in model.graph.outputs] == ["y"]
    assert any("renamed to a, b" in told for told in report.mended)
    one = "(float[2,3] b) => (float[2,3] y) { y = Exp(b) }"
    model, report, _ = exported(lambda a, b: np.exp(b), {"a": one}, Request(inputs=feeds))
    assert [value.name for value in model.graph.inputs] == ["a", "b"]
    assert any("'a' put back" in told for told in report.mended)


def test_an_output_never_takes_the_name_of_an_input() -> None:
    text = "(float[2,3] y) => (float[2,3] z) { z = Exp(y) }"
    model, _, _ = exported(lambda y: np.exp(y), {"a": text}, Request(inputs={"y": X}))
    assert [value.name for value in model.graph.outputs] == ["y_out"]


def test_weights_that_are_there_twice_are_stored_once() -> None:
    weight = ",".join(["0.5"] * 900)
    text = f"""(float[2,30] x) => (float[2,30] y)
        <float[30,30] a = {{{weight}}}, float[30,30] b = {{{weight}}}> {{
        t = MatMul(x, a) y = MatMul(t, b) }}"""
    wide = np.ones((2, 30), np.float32)
    half = np.full((30, 30), 0.5, np.float32)
    model, report, _ = exported(lambda x: x @ half @ half, {"a": text}, Request(inputs=wide))
    assert len(model.graph.initializers) == 1
    assert any("stored once" in told for told in report.mended)


def test_a_second_size_that_the_framework_refuses_is_said() -> None:
    def fixed(x: np.ndarray) -> np.ndarray:
        if x.shape[0] != 2:
            raise ValueError("two rows, please")
        return exp(x)

    _, report, _ = exported(fixed, {"a": RIGHT}, Request(inputs=X, dynamic=OPEN))
    assert any("two rows, please" in note for note in report.notes)


def test_axes_may_depend_on_each_other() -> None:
    text = "(float[n,p] x, float[n,q] m) => (float[n,r] y) { y = Concat<axis = 1>(x, m) }"

    def joined(x: np.ndarray, m: np.ndarray) -> np.ndarray:
        if m.shape[1] != x.shape[1] + 1:
            raise ValueError("one more")
        return np.concatenate([x, m], 1)

    request = Request(inputs=["x=batch,past", "m=batch,past+1"])
    model, report, _ = exported(joined, {"a": text}, request)
    assert dims(model.graph.inputs[1]) == ("batch", "past+1")
    assert any("other sizes" in each.label for each in report.agreed)
    assert report.inputs == ("x=batch,past", "m=batch,past+1")


@pytest.mark.parametrize(
    ("text", "names_", "shown"),
    [
        ("x=batch,3,8", ("batch",), "x=batch,3,8"),
        ("ids:int64 = b, past + 3", ("b", "past"), "ids:int64=b,past+3"),
        ("scalar:float16=", (), "scalar:float16="),
    ],
)
def test_declarations_are_read(text: str, names_: tuple[str, ...], shown: str) -> None:
    assert names([read(text)]) == names_
    assert str(read(text)) == shown
    assert read(shown).dtype == read(text).dtype


@pytest.mark.parametrize(
    ("inputs", "dynamic", "problem"),
    [
        ("x", None, "expected NAME=batch,3,224,224"),
        ("x:flot=1", None, "unknown type 'flot', did you mean 'float'"),
        ("x=1,&", None, "'&' is neither"),
        (None, None, "nothing is known of the inputs"),
        (X, {"z": {0: "batch"}}, "no input 'z'"),
        (X, {"x": {2: "batch"}}, "2 axes, not axis 2"),
        ({"x": X, "w": X[:1]}, None, "has no input 'w'; it takes x"),
        ("x=1,3", {"x": {0: "n"}}, "leave dynamic out"),
        ({"x": object()}, None, "expected an array"),
    ],
)
def test_what_does_not_fit_is_told(inputs: object, dynamic: object, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        exported(exp, {"a": RIGHT}, Request(inputs=inputs, dynamic=dynamic))  # type: ignore[arg-type]


def test_what_is_onnx_already_passes_through() -> None:
    import onnx.parser

    from tests.exports.fakes import HEAD

    proto = onnx.parser.parse_model(HEAD + RIGHT)
    model, report = onnxopt.export_with_report(proto)
    assert [node.op_type for node in model.graph] == ["Exp"]
    assert (report.framework, report.exporter, report.inputs) == ("ONNX", None, ("x=n,3",))
    with pytest.raises(ModelError, match="no model of a framework"):
        onnxopt.export(object())
    with pytest.raises(UsageError, match="did you mean 'torch'"):
        onnxopt.export("torhc:module:function")


def test_an_operator_that_onnx_does_not_have_is_spelled_out() -> None:
    text = "(float[n,3] x) => (float[n,3] y) { y = Erfc(x) }"
    erfc: Any = np.frompyfunc(math.erfc, 1, 1)
    model, report, _ = exported(
        lambda x: erfc(x).astype(np.float32), {"a": text}, Request(inputs={"x": X})
    )
    assert any("Erfc" in told for told in report.mended)
    assert model.graph.outputs[0].name == "y"


@pytest.mark.parametrize("opset", [20, 21, 23])
def test_the_operator_set_is_the_one_asked_for(opset: int) -> None:
    model, report, _ = exported(exp, {"a": RIGHT}, Request(inputs=X, opset=opset))
    assert report.opset == opset
    assert bool(report.mended) is (opset > 20)
    assert model.opset_imports[""] == opset


def test_an_operator_set_below_what_is_written_is_refused() -> None:
    with pytest.raises(ModelError, match="written at operator set 20, not 17"):
        exported(exp, {"a": RIGHT}, Request(inputs=X, opset=17))


def test_onnx_is_raised_too(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(onnx.parser.parse_model(HEAD + RIGHT), path)
    model, report = onnxopt.export_with_report(path, opset=22)
    assert (model.opset_imports[""], report.opset) == (22, 22)
    with pytest.raises(ModelError, match="cannot be lowered"):
        onnxopt.export(path, opset=13)


def test_without_inputs_the_samples_say_them() -> None:
    text = "(float[n,k] x) => (float[n,k] y) { y = Exp(x) }"
    varying = Samples.of([{"x": np.ones((2, size), np.float32)} for size in (3, 5, 4)])
    model, report, _ = exported(exp, {"a": text}, Request(samples=varying))
    assert dims(model.graph.inputs[0]) == (2, "x_1")
    assert any("inputs as in the samples, open: x_1" in note for note in report.notes)
    fixed = Samples.of([{"x": np.ones((2, 3), np.float32)}] * 2)
    model, report, _ = exported(exp, {"a": RIGHT}, Request(samples=fixed))
    assert dims(model.graph.inputs[0]) == (2, 3)
    assert any("all sizes fixed" in note for note in report.notes)


def test_a_folder_of_samples_says_the_inputs_too(tmp_path: Path) -> None:
    for at in range(2):
        np.savez(tmp_path / f"{at}.npz", x=np.ones((at + 1, 3), np.float32), label=np.zeros(at + 1))
    model, _, _ = exported(exp, {"a": RIGHT}, Request(samples=tmp_path))
    assert dims(model.graph.inputs[0]) == ("batch", 3)


def test_texts_can_be_declared() -> None:
    assert read("city:string=batch,1").dtype == ir.DataType.STRING


def test_every_framework_is_an_extra_to_install() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    assert catalogue.frameworks()
    for name in catalogue.frameworks():
        packages = " ".join(extras[name])
        assert all(need in packages for need in catalogue.framework(name).needs.values()), name


def test_one_name_stands_for_one_size() -> None:
    text = "(float[n,3] x, float[m,3] w) => (float[n,3] y) { y = Add(x, w) }"
    axes = {"x": {0: "n"}, "w": {0: "n"}}
    with pytest.raises(UsageError, match="n is 2, but the example has 1"):
        exported(lambda x, w: x + w, {"a": text}, Request(inputs=(X, X[:1]), dynamic=axes))


def test_axes_of_outputs_that_were_written_fixed_are_opened() -> None:
    fixed = "(float[n,3] x) => (float[2,3] y) { y = Exp(x) }"
    model, report, _ = exported(exp, {"a": fixed}, Request(inputs=X, dynamic=OPEN))
    assert dims(model.graph.outputs[0]) == ("batch", 3)
    assert "axis 0 of output 'y' was written as 2: opened" in report.mended


def test_an_optimizer_of_the_exporter_that_does_harm_is_named() -> None:
    texts = {"dynamo": "(float[n,3] x) => (float[n,3] y) { y = Neg(x) }"}
    texts["dynamo-unoptimized"] = RIGHT
    _, report, _ = exported(exp, texts, Request(inputs=X))
    assert report.exporter == "dynamo-unoptimized"
    assert any("own optimizer makes of it: Exp 1 -> 0" in note for note in report.notes)


@pytest.mark.parametrize(
    "options", [{"inputs": X}, {"dynamic": "none"}, {"outputs": ["z"]}, {"exporter": "dynamo"}]
)
def test_options_that_mean_nothing_for_onnx_are_refused(options: dict[str, Any]) -> None:
    proto = onnx.parser.parse_model(HEAD + RIGHT)
    with pytest.raises(UsageError, match="is ONNX already"):
        onnxopt.export(proto, **options)


def test_a_model_in_memory_stays_when_it_is_raised() -> None:
    model = ir.from_proto(onnx.parser.parse_model(HEAD + RIGHT))
    raised, report = onnxopt.export_with_report(model, opset=22)
    assert (model.opset_imports[""], raised.opset_imports[""]) == (20, 22)
    assert "raised from operator set 20 to 22" in report.mended


def test_a_place_that_cannot_be_written_is_told_first(tmp_path: Path) -> None:
    said = CliRunner().invoke(app(), ["export", "no.such:spec", "-o", str(tmp_path / "a" / "b")])
    assert "there is no folder" in str(said.exception)


def test_weights_in_many_files_end_in_one(tmp_path: Path) -> None:
    names = [f"w{at}" for at in range(70)]
    sums = "".join(f" t{at + 1} = Add(t{at}, {name})" for at, name in enumerate(names))
    text = f"(float[n,3] x) => (float[n,3] y) {{ t0 = Exp(x){sums} y = Identity(t70) }}"

    def summed(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(x) + 70 + [1e-6 * sum(range(70)), 0, 0], np.float32)

    def scattered(folder: Path) -> Path:
        proto = onnx.parser.parse_model(HEAD + text)
        for name in names:
            ones = np.ones((1, 3), np.float32)
            ones[0, 0] += 1e-6 * len(proto.graph.initializer)  # none like another
            held = onnx.numpy_helper.from_array(ones, name)
            proto.graph.initializer.append(held)
        onnx.save(
            proto,
            folder,
            save_as_external_data=True,
            all_tensors_to_one_file=False,
            size_threshold=0,
        )
        return folder

    model, _, _ = exported(summed, {"a": scattered}, Request(inputs=X, dynamic=OPEN))
    onnxopt.save(model, tmp_path / "whole.onnx")
    assert (tmp_path / "whole.onnx").stat().st_size > 70 * 12


def test_masks_grow_without_hiding_everything() -> None:
    signature = (read("mask:int64=batch,tokens"), read("ids:int64=batch,tokens"))
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]])
    ids = np.arange(8).reshape(2, 4)
    found = resized(signature, {"mask": mask, "ids": ids}, {"batch": 5, "tokens": 7})
    assert found["mask"].shape == (5, 7)
    assert found["mask"][:, 0].all()
    assert len({row.tobytes() for row in found["ids"]}) > 2
