"""What a pass may not leave behind is seen, and named with the pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnxopt.base import Context, Pass
from onnxopt.errors import VerificationError
from onnxopt.fingerprint import fingerprint
from onnxopt.verify import Honest, Verify, checked, problems
from tests.verify.planted import chain, weight


class Vandal(Pass):
    """Does what it is told."""

    def run(self, model: ir.Model, context: Context) -> int:
        return 0


def rename_input(model: ir.Model) -> None:
    model.graph.inputs[0].name = "z"


def retype_output(model: ir.Model) -> None:
    model.graph.outputs[0].type = ir.TensorType(ir.DataType.DOUBLE)


def reshape_output(model: ir.Model) -> None:
    model.graph.outputs[0].shape = ir.Shape([7, 4])


def double_name(model: ir.Model) -> None:
    model.graph[0].outputs[0].name = "v1"


def wrong_order(model: ir.Model) -> None:
    last = model.graph[2]
    model.graph.remove(last)
    model.graph.insert_before(model.graph[0], last)


def loose_input(model: ir.Model) -> None:
    model.graph[1].replace_input_with(1, ir.Value(name="nowhere"))


def foreign_domain(model: ir.Model) -> None:
    model.graph[1].domain = "com.example"


def empty_weight(model: ir.Model) -> None:
    model.graph.initializers["w1"].const_value = None


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (rename_input, "inputs and outputs were input 'x'"),
        (retype_output, "type of output 'v3'"),
        (reshape_output, "shape of output 'v3'"),
        (double_name, "'v1' stands for two values"),
        (wrong_order, "before it is computed"),
        (loose_input, "reads 'nowhere' before"),
        (foreign_domain, "'com.example' of Add"),
        (empty_weight, "'w1' has no contents"),
    ],
)
def test_harm_is_seen_and_the_pass_named(harm: Callable[[ir.Model], None], message: str) -> None:
    model, watch, step = chain(4), Verify(), Vandal()
    watch.before(step, model)
    watch.after(step, model, 1)
    harm(model)
    with pytest.raises(VerificationError, match=message) as caught:
        watch.after(step, model, 1)
    assert step.name in str(caught.value)


def test_what_was_wrong_before_is_not_held_against_a_pass() -> None:
    model, watch, step = chain(4), Verify(), Vandal()
    foreign_domain(model)
    watch.before(step, model)
    watch.after(step, model, 1)


def test_knowing_more_of_the_interface_is_no_change() -> None:
    model, watch, step = chain(4), Verify(), Vandal()
    model.graph.outputs[0].shape = None
    watch.before(step, model)
    model.graph.outputs[0].shape = ir.Shape(["batch", 4])
    watch.after(step, model, 1)


def test_the_corpus_is_well_formed_and_its_fingerprint_repeats(
    corpus: Mapping[str, onnx.ModelProto],
) -> None:
    for name, proto in corpus.items():
        try:
            model = ir.from_proto(proto)
        except ir.serde.SerdeError:
            continue  # maps, which onnx-ir does not read
        assert problems(model) == [], name
        assert fingerprint(model) == fingerprint(ir.from_proto(proto)), name


def test_nesting_a_thousand_deep_needs_no_recursion() -> None:
    inner = ir.Graph([], [], nodes=[], opset_imports={"": 18})
    for _ in range(1_000):
        flag = weight("flag", np.array(True))
        node = ir.node("If", [flag], attributes={"then_branch": inner}, num_outputs=0)
        flag.name = f"flag{id(flag)}"
        inner = ir.Graph([], [], nodes=[node], initializers=[flag], opset_imports={"": 18})
    assert problems(ir.Model(inner, ir_version=9)) == []


def test_reports_are_held_against_the_facts() -> None:
    model, watch, step = chain(4), Honest(), Vandal()
    watch.before(step, model)
    watch.after(step, model, 0)
    with pytest.raises(VerificationError, match="made none"):
        watch.after(step, model, 1)
    model.graph.initializers["w1"].const_value = ir.tensor(np.zeros(4, np.float32), name="w1")
    watch.after(step, model, 1)
    with pytest.raises(VerificationError, match="reports no change"):
        watch.after(step, model, 0)


def test_the_checker_is_asked_without_the_weights() -> None:
    model = chain(3)
    assert checked(model) is None
    model.graph[1].op_type = "NoSuchOperator"
    assert "NoSuchOperator" in (checked(model) or "")
