"""A pass opens a model for many runs, with the values it wants to see as outputs."""

from __future__ import annotations

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest

from onnxopt import catalogue
from onnxopt.base import Context
from onnxopt.fingerprint import fingerprint

TEXT = """
<ir_version: 9, opset_import: ["" : 18]>
g (float[2,3] x, float[1] k) => (float[2,3] y)
  <float[1] c = {3}, float[1] k = {2}>
{
  a = Relu (x)
  b = Mul (a, k)
  d = If (flag) <
    then_branch = t () => (float[2,3] p) { p = Add (a, c) },
    else_branch = f () => (float[2,3] r) { r = Sub (b, c) }
  >
  y = Abs (d)
}
""".replace("float[1] k)", "float[1] k, bool flag)")
X = np.arange(6, dtype=np.float32).reshape(2, 3) - 2
FLAG = np.array(True)
CPU = Context(load=catalogue.backend("cpu").open)

both = pytest.mark.parametrize("context", [Context(), CPU], ids=["reference", "cpu"])


def _model() -> tuple[ir.Model, dict[str, ir.Value]]:
    model = ir.from_proto(onnx.parser.parse_model(TEXT))
    return model, {value.name or "": value for node in model.graph for value in node.outputs}


@both
def test_returns_the_values_that_are_wanted(context: Context) -> None:
    model, values = _model()
    before = fingerprint(model)
    with context.open(model, [values["d"], values["a"]]) as session:
        for sign in (1, -1):
            found = session.run({"x": sign * X, "flag": FLAG})
            assert list(found) == ["d", "a"]
            np.testing.assert_array_equal(found["a"], np.maximum(sign * X, 0))
            np.testing.assert_array_equal(found["d"], np.maximum(sign * X, 0) + 3)
    assert fingerprint(model) == before


@both
def test_takes_all_inputs_though_the_values_need_few(context: Context) -> None:
    model, values = _model()
    with context.open(model, [values["a"]]) as session:
        found = session.run({"x": X, "flag": FLAG, "k": np.ones(1, np.float32)})
    assert list(found) == ["a"]


@both
def test_defaults_of_inputs_hold(context: Context) -> None:
    model, values = _model()
    with context.open(model, [values["b"]]) as session:
        found = session.run({"x": X, "flag": FLAG})
    np.testing.assert_array_equal(found["b"], 2 * np.maximum(X, 0))


@both
def test_without_values_returns_the_outputs(context: Context) -> None:
    model, _ = _model()
    with context.open(model) as session:
        assert list(session.run({"x": X, "flag": FLAG})) == ["y"]
