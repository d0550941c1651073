"""Pipelines: their text, their errors, what runs when, and passes from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes
import onnx_ir.passes.common
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxopt import catalogue
from onnxopt.base import Context, Gate, Observer, Pass, Site
from onnxopt.errors import UsageError, VerificationError
from onnxopt.pipeline import Pipeline, Repeat
from onnxopt.report import Recorder
from onnxopt.verify import Honest, Verify
from tests.core.rules import left
from tests.passes.tools import model_of, random_feeds, run

LEAVES = [*catalogue.passes(), "dce{keep-initializers=true}", "fold-constants{max-growth=7}"]
LEAVES += ['fix-shapes{shapes=["x=1,2", "y, z=3"]}', "simplify{skip=[simplify/cast]}"]
LEAVES += ["onnx_ir.passes.common:DeduplicateInitializersPass"]
TEXTS = st.recursive(
    st.sampled_from(LEAVES),
    lambda steps: st.lists(steps, min_size=1, max_size=3).map(
        lambda inner: f"repeat({', '.join(inner)})"
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, max_size=5).map(", ".join))
def test_text_comes_back(text: str) -> None:
    assert str(Pipeline.parse(text)) == text


def test_the_default_pipelines_are_canonical() -> None:
    for name in catalogue.targets():
        text = catalogue.find_backend(name).target().pipeline
        assert str(Pipeline.parse(text)) == text


def test_white_space_and_defaults_go() -> None:
    text = " dce{ keep_initializers = false ,}\n,repeat( cse ,\tfuse ) "
    assert str(Pipeline.parse(text)) == "dce, repeat(cse, fuse)"
    assert Pipeline.parse("") == Pipeline(())


@pytest.mark.parametrize(
    ("text", "problem", "at"),
    [
        ("fold-constnts", "unknown pass 'fold-constnts', did you mean 'fold-constants'?", 0),
        ("dce, csee, fuse", "unknown pass 'csee', did you mean 'cse'?", 5),
        ("repat(fuse, dce)", "unknown pass 'repat', did you mean 'repeat'?", 0),
        ("dce, repeat(fuse, dec)", "unknown pass 'dec', did you mean 'dce'?", 18),
        ("fuse/gelo", "unknown pass 'fuse/gelo', did you mean 'fuse/gelu'?", 0),
        ("qqqqqqqq", "unknown pass 'qqqqqqqq'", 0),
        ("repeat", "expected '('", 6),
        ("repeat()", "expected the name of a pass, found ')'", 7),
        ("repeat(dce", "expected ')'", 10),
        ("repeat(dce))", "unexpected ')'", 11),
        ("dce,", "expected the name of a pass", 4),
        ("dce cse", "unexpected 'cse'", 4),
        ("dce; cse", "unexpected character ';'", 3),
        ("dce, ,cse", "expected the name of a pass, found ','", 5),
        (
            "dce{keep-inits}",
            "'dce' has no option 'keep-inits', did you mean 'keep-initializers'?",
            4,
        ),
        ("cse{a=1}", "'cse' has no option 'a'", 4),
        (
            "dce, no_such_module:Pass",
            "'no_such_module' is not installed: pip install no_such_module",
            5,
        ),
        ("onnx_ir.passes.common:NoSuchPass", "cannot use 'onnx_ir.passes.common:NoSuchPass'", 0),
        ("os:path", "cannot use 'os:path'", 0),
        (":x", "cannot use ':x'", 0),
        ("..:x", "cannot use '..:x'", 0),
        ("os:", "cannot use 'os:'", 0),
    ],
)
def test_errors_point_and_suggest(text: str, problem: str, at: int) -> None:
    with pytest.raises(UsageError) as raised:
        Pipeline.parse(text)
    said, shown, caret = str(raised.value).split("\n")
    assert said == problem or (problem.startswith("cannot use") and said.startswith(problem))
    assert shown == f"  {text}"
    assert caret == " " * (2 + at) + "^"


def test_without_names() -> None:
    whole = Pipeline.parse("dce, repeat(cse, fuse), repeat(cse)")
    assert str(whole.without(["cse"])) == "dce, repeat(fuse)"
    assert str(whole.without(["fuse", "dce"])) == "repeat(cse), repeat(cse)"
    assert str(whole.without([])) == str(whole)
    with pytest.raises(UsageError, match="unknown pass 'csee', did you mean 'cse'"):
        whole.without(["csee"])


def test_without_one_file_of_a_family() -> None:
    shorter = Pipeline.parse("repeat(simplify, dce)").without(["simplify/transpose"])
    assert str(shorter) == "repeat(simplify{skip=[simplify/transpose]}, dce)"
    assert str(Pipeline.parse(str(shorter))) == str(shorter)
    text = """(float[2,3] x) => (float[2,3] y) {
        a = Transpose<perm=[1,0]>(x) b = Transpose<perm=[1,0]>(a) c = Identity(b) y = Relu(c) }"""
    model = model_of(text)
    shorter.run(model, Context())
    assert left(model) == ["Relu", "Transpose", "Transpose"]
    Pipeline.parse("simplify, dce").run(model, Context())
    assert left(model) == ["Relu"]


class Count(Pass):
    """Say that something changed, a given number of times."""

    name = "count"
    idempotent = False
    left: tuple[list[int], ...] = ()

    def run(self, model: ir.Model, context: Context) -> int:
        (rest,) = self.left
        rest[0] -= 1
        return int(rest[0] >= 0)


class Diary(Observer):
    """Write down what happens."""

    def __init__(self, name: str, pages: list[str]) -> None:
        self.name = name
        self.pages = pages

    def before(self, step: Pass, model: ir.Model) -> None:
        self.pages.append(f"{self.name}>{step.name}")

    def after(self, step: Pass, model: ir.Model, changes: int) -> None:
        self.pages.append(f"{self.name}<{step.name}:{changes}")


def test_repeat_stops_after_a_round_without_changes() -> None:
    pages: list[str] = []
    steps = Pipeline.of([Repeat((Count(left=([2],)),))])
    model = model_of("(float[4] x) => (float[4] y) { y = Exp(x) }")
    assert steps.run(model, Context(), [Diary("a", pages), Diary("b", pages)]) == 2
    turn = ["a>count", "b>count", "b<count:1", "a<count:1"]
    assert pages == [*turn, *turn, "a>count", "b>count", "b<count:0", "a<count:0"]


def test_repeat_ends_although_its_passes_never_rest() -> None:
    model = model_of("(float[4] x) => (float[4] y) { y = Exp(x) }")
    assert Pipeline.of([Repeat((Count(left=([10**6],)),))]).run(model, Context()) < 1000


class Once(Pass):
    """Change a model that was not changed by it before."""

    name = "once"

    def run(self, model: ir.Model, context: Context) -> int:
        changes = int("once" not in model.meta)
        model.meta["once"] = True
        return changes


def test_a_pass_is_left_out_where_nothing_has_changed_since_it_was_done() -> None:
    pages: list[str] = []
    one, other = Once(), Count(left=([2],))
    steps = Pipeline.of([one, one, other, one, other, other, one])
    model = model_of("(float[4] x) => (float[4] y) { y = Exp(x) }")
    assert steps.run(model, Context(), [Diary("a", pages)]) == 3
    ends = [page.partition("<")[2] for page in pages if "<" in page]
    assert ends == ["once:1", "count:1", "once:0", "count:1", "count:0", "once:0"]


def test_only_a_pass_of_the_same_options_counts_as_the_same() -> None:
    pages: list[str] = []
    model = model_of("(float[4] x) => (float[4] y) { y = Exp(x) }")
    steps = Pipeline.parse(
        "dce, fold-constants, dce{keep-initializers}, dce, fold-constants{max-growth=5}"
    )
    steps.run(model, Context(), [Diary("a", pages)])
    ends = [page.partition("<")[2] for page in pages if "<" in page]
    assert ends == ["dce:0", "fold-constants:0", "dce:0", "fold-constants:0"]


def test_the_gate_knows_which_pass_asks() -> None:
    model = model_of("(float[4] x) => (float[4] y) { a = Identity(x) b = Exp(a) y = Exp(b) }")
    gate = Gate(denied=frozenset({Site("cse", "cse", "y")}))
    Pipeline.parse("simplify, dce").run(model, Context(gate=gate))
    assert {site.pass_name for site in gate.applied} == {"simplify"}
    assert str(gate.applied[0]) == "simplify (simplify/identity:copy) at 'a'"
    assert str(Site("dce", "dce", "a")) == "dce at 'a'"


DOUBLED = """(float[2] x) => (float[2] y) {
    a = Constant<value = float[2] {1, 2}>() b = Constant<value = float[2] {1, 2}>()
    c = Add(x, a) d = Add(c, b) y = Identity(d) }"""


class NewModel(onnx_ir.passes.FunctionalPass):
    """Make a model of its own, without what the other had."""

    def call(self, model: ir.Model) -> onnx_ir.passes.PassResult:
        made = model.clone()
        last = made.graph[-1]
        if last.op_type != "Identity":
            return onnx_ir.passes.PassResult(made, modified=False)
        source, old = last.inputs[0], last.outputs[0]
        assert source is not None
        made.graph.outputs[0] = source
        made.graph.remove(last, safe=False)
        source.type, source.shape = old.type, old.shape
        source.name, old.name = old.name, None
        return onnx_ir.passes.PassResult(made, modified=True)


def expected(text: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    before = ir.to_proto(model_of(text))
    feeds = random_feeds(before, 2)
    return feeds, run(before, feeds)


@pytest.mark.parametrize(
    "steps",
    [
        [onnx_ir.passes.common.LiftConstantsToInitializersPass(lift_all_constants=True)],
        [Pipeline.parse("onnx_ir.passes.common:IdentityEliminationPass").steps[0]],
        [NewModel(), onnx_ir.passes.common.CommonSubexpressionEliminationPass()],
    ],
)
def test_passes_of_onnx_ir_stand_beside_ours(steps: Sequence[onnx_ir.passes.PassBase]) -> None:
    feeds, wanted = expected(DOUBLED)
    model = model_of(DOUBLED)
    recorder = Recorder()
    pipeline = Pipeline.of([*Pipeline.parse("dce").steps, *steps, *Pipeline.parse("cse").steps])
    changes = pipeline.run(model, Context(), [Verify(), Honest(), recorder])
    assert changes > 0
    got = run(ir.to_proto(model), feeds)
    np.testing.assert_array_equal(got["y"], wanted["y"])
    assert len(recorder.records) == len(steps) + 2
    assert all(name != "pipeline" for name in recorder.records)


def two_relus() -> Any:
    """Return a rule set of onnxscript's."""
    rewriter = pytest.importorskip("onnxscript.rewriter")
    rule = rewriter.RewriteRule(lambda op, x: op.Relu(op.Relu(x)), lambda op, x: op.Relu(x))
    return rewriter.RewriteRuleSet([rule])


def test_rules_of_onnxscript_stand_beside_ours() -> None:
    text = "dce, onnxscript.rewriter.rules.common:successive_relu_rule, dce"
    for pipeline in (Pipeline.of([two_relus(), Repeat((two_relus(),))]), Pipeline.parse(text)):
        model = model_of("(float[2] x) => (float[2] y) { a = Relu(x) b = Relu(a) y = Neg(b) }")
        assert pipeline.run(model, Context(), [Verify(), Honest()]) == 1
        assert left(model) == ["Neg", "Relu"]
    assert str(pipeline) == text


class Breaks(onnx_ir.passes.InPlacePass):
    """Leave a graph whose output nothing makes."""

    def call(self, model: ir.Model) -> onnx_ir.passes.PassResult:
        model.graph.outputs[0] = ir.val("nowhere", ir.DataType.FLOAT, [2])
        return onnx_ir.passes.PassResult(model, modified=True)


class Bare(onnx_ir.passes.FunctionalPass):
    """Make a model of its own, without the functions."""

    def call(self, model: ir.Model) -> onnx_ir.passes.PassResult:
        made = onnx_ir.passes.common.InlinePass()(model.clone()).model
        return onnx_ir.passes.PassResult(made, modified=True)


def test_a_new_model_has_the_functions_of_the_new_model() -> None:
    text = """(float[2] x) => (float[2] y) { y = local.f(x) }
        <domain: "local", opset_import: ["" : 18]> f (x) => (y) { y = Exp(x) }"""
    model = model_of(text)
    model.opset_imports["local"] = 1
    assert Pipeline.of([Bare()]).run(model, Context(), [Verify(), Honest()]) == 1
    assert left(model) == ["Exp"]
    assert not model.functions


def test_verification_sees_passes_from_elsewhere() -> None:
    with pytest.raises(VerificationError, match="Breaks"):
        Pipeline.of([Breaks()]).run(model_of(DOUBLED), Context(), [Verify()])


def test_a_closed_gate_holds_passes_from_elsewhere() -> None:
    gate = Gate(limit=0)
    model = model_of(DOUBLED)
    assert Pipeline.of([NewModel()]).run(model, Context(gate=gate)) == 0
    assert "Identity" in left(model)


def test_what_is_no_pass_is_refused() -> None:
    with pytest.raises(UsageError, match="not a pass: 'dce'"):
        Pipeline.of(["dce"])


def test_ours_are_passes_of_onnx_ir() -> None:
    model = model_of("(float[4] x) => (float[4] y) { dead = Exp(x) y = Exp(x) }")
    steps = onnx_ir.passes.Sequential(
        catalogue.find_pass("dce")(), onnx_ir.passes.common.CheckerPass()
    )
    assert steps(model).modified
    assert left(model) == ["Exp"]
