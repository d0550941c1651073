"""From a pipeline to a model that is known to be right, or is said not to be known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt.base import Context, Pass
from onnxopt.errors import BackendError, ModelError, UsageError
from onnxopt.io import save
from onnxopt.samples import Samples
from onnxopt.target import Feeds, Outputs
from onnxopt.verify import Check, Mode, Outcome, run_verified
from tests.verify.planted import SubtractInstead, chain, evaluator, model_of, tensor, work


class Fix(Pass):
    """Fix the batch to three."""

    changes_signature = True

    def run(self, model: ir.Model, context: Context) -> int:
        if not context.gate.permit("fix", "x"):
            return 0
        model.graph.inputs[0].shape = ir.Shape([3, 4])
        for node in model.graph:
            node.outputs[0].shape = ir.Shape([3, 4])
        return 1


class Careless(Pass):
    """Called with what cannot be."""

    def run(self, model: ir.Model, context: Context) -> int:
        raise UsageError("careless: no such option")


def run(*steps: Pass, model: ir.Model | None = None, mode: Mode = Mode.END) -> Outcome:
    original = chain(6) if model is None else model
    return run_verified(work(original, *steps), Check(mode=mode, evaluate=evaluator()))


@pytest.mark.parametrize("name", ["model.onnx", "model.onnxtxt"])
def test_the_original_is_run_from_its_file_where_the_runtime_reads_it(
    tmp_path: Path, name: str
) -> None:
    model, path = chain(6), tmp_path / name
    save(model, path)
    steps = work(model, SubtractInstead(wrong=("v2",)), path=path)
    outcome = run_verified(steps, Check(evaluate=evaluator()))
    assert [fault.site.value for fault in outcome.quarantined] == ["v2"]
    assert outcome.unverified is None


@pytest.mark.parametrize("mode", [Mode.END, Mode.EACH])
def test_sizes_that_a_pass_fixes_are_fed_to_the_original_too(mode: Mode) -> None:
    outcome = run(Fix(), SubtractInstead(wrong=("v4",)), mode=mode)
    assert [fault.site.value for fault in outcome.quarantined] == ["v4"]
    assert outcome.model.graph.inputs[0].shape == ir.Shape([3, 4])


def test_given_samples_are_what_is_compared() -> None:
    feeds = [{"x": np.ones((n, 4), np.float32)} for n in (1, 5)]
    check = Check(evaluate=evaluator(), samples=Samples.of(feeds))
    outcome = run_verified(work(chain(6), SubtractInstead(wrong=("v4",))), check)
    assert outcome.checked == ("given sample",) * 2
    assert len(outcome.quarantined) == 1
    with pytest.raises(ModelError, match=r"samples: input 'x' wants float32\[3, 4\]"):
        run_verified(work(chain(6), Fix()), check)


def test_samples_that_the_model_refuses_are_an_error() -> None:
    samples = Samples.of([{"x": np.ones((1, 9), np.float32)}])
    steps = work(chain(6), SubtractInstead())
    with pytest.raises((BackendError, ModelError)):
        run_verified(steps, Check(evaluate=evaluator(), samples=samples))


def test_why_numbers_are_not_compared_is_said() -> None:
    steps = work(chain(6), SubtractInstead())
    assert "no runtime" in (run_verified(steps, Check()).unverified or "")
    assert "off" in (run_verified(steps, Check(mode=Mode.OFF)).unverified or "")

    def refuse(model: ir.Model, feeds: Feeds) -> Outputs:
        raise BackendError("not this one")

    refused = run_verified(steps, Check(evaluate=refuse))
    assert "not this one" in (refused.unverified or "")
    assert len(refused.gate.applied) == 6
    sequence = ir.Value(name="s", type=ir.SequenceType(ir.TensorType(ir.DataType.FLOAT)))
    out = tensor("n", [], "INT64")
    model = model_of([sequence], [ir.node("SequenceLength", [sequence], outputs=[out])], [out])
    assert "input 's'" in (run(model=model).unverified or "")


def test_nothing_changed_needs_no_run() -> None:
    outcome = run()
    assert not outcome.gate.applied
    assert outcome.unverified is None


def test_a_wrong_call_is_no_wrong_rewrite() -> None:
    with pytest.raises(UsageError, match="careless"):
        run(Careless())


def test_inputs_that_a_pass_removes_are_not_fed() -> None:
    x, y = tensor("x", [2]), tensor("y", [2])
    model = model_of([x, tensor("unused", [2])], [ir.node("Relu", [x], outputs=[y])], [y])

    class Prune(Pass):
        """Remove the second input."""

        changes_signature = True

        def run(self, model: ir.Model, context: Context) -> int:
            if not context.gate.permit("prune", "unused"):
                return 0
            model.graph.inputs.pop()
            return 1

    assert not run(Prune(), model=model).quarantined
