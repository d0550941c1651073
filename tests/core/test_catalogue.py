"""The file system is the registry, and other packages add to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from onnxopt import catalogue
from onnxopt.errors import UsageError
from onnxopt.rewrite import RulePass
from tests.source import ROOT, files

PASS = '''
"""A pass from elsewhere."""
from __future__ import annotations
import onnx_ir as ir
from onnxopt.base import Context, Pass

class Nothing(Pass):
    """Do nothing, so many times."""
    times: int = 1

    def run(self, model: ir.Model, context: Context) -> int:
        return 0
'''
RULE = '''
"""A rule from elsewhere."""
from __future__ import annotations
import onnx_ir as ir
from onnxopt.rewrite import Builder, Op, PatternOps, Rule, Var

class SinToCos(Rule):
    """Sin becomes Cos."""
    def pattern(self, op: PatternOps, x: Var) -> Op:
        return op.Sin(x)

    def rewrite(self, op: Builder, x: ir.Value) -> ir.Value:
        return op.Cos(x)
'''
BACKEND = '''
"""A target from elsewhere."""
from __future__ import annotations
from onnxopt.target import Backend, Session, Target

class Toaster(Backend):
    """A toaster."""
    heat: int = 3

    @classmethod
    def target(cls) -> Target:
        return Target(name="toaster", pipeline="dce", probe_max_opset=lambda: 9)

    @classmethod
    def unavailable(cls) -> str | None:
        return "buy one"

    def open(self, model: object) -> Session:
        raise NotImplementedError
'''
SCHEME = """
from onnxopt.quantizer import Scheme

MINE = Scheme(name="mine", pipeline="quantize/weights{type=int4}", opset=21, bits=4, about="mine")
"""
MODULES = {
    "tiny_pass.py": PASS,
    "tiny_rule.py": RULE,
    "tiny_backend.py": BACKEND,
    "tiny_scheme.py": SCHEME,
}

APART = {"prune", "quantize"}
"""Folders of passes that are chosen one by one, never run together."""


def folder_of(package: str) -> list[str]:
    """Return the public modules below a package, as names of the catalogue."""
    found = [path.relative_to(ROOT / package).with_suffix("") for path in files(package)]
    public = [path for path in found if not any(part.startswith("_") for part in path.parts)]
    return [path.as_posix().replace("_", "-") for path in public]


def test_every_file_is_a_pass_and_every_folder_a_family() -> None:
    names = catalogue.passes()
    folders = {name.rpartition("/")[0] for name in folder_of("passes")} - {""}
    families = {folder for folder in folders if folder not in APART}
    assert set(names) == {*folder_of("passes"), *families}
    assert set(catalogue.families()) == families
    assert len(names) == len(set(names))
    assert list(catalogue.targets()) == sorted(folder_of("backends"))


def test_every_pass_goes_by_the_name_of_its_file() -> None:
    for name in catalogue.passes():
        kind = catalogue.find_pass(name)
        assert kind.name == name
        assert (kind.__doc__ or "").strip()
        assert catalogue.find_pass(name) is kind


def test_no_rule_is_listed_twice() -> None:
    for family in catalogue.families():
        kind = catalogue.find_pass(family)
        assert issubclass(kind, RulePass)
        names = [rule.name for rule in kind.rules]
        assert len(names) == len(set(names))
        assert {rule.file for rule in kind.rules} == {
            name for name in catalogue.passes() if name.startswith(f"{family}/")
        }


def test_targets_are_made_from_text() -> None:
    made = catalogue.backend("cpu{threads=2, optimization=off}")
    assert (getattr(made, "threads", 0), getattr(made, "optimization", "")) == (2, "off")
    for text, problem in (
        ("cpux", "unknown target 'cpux', did you mean 'cpu'?"),
        ("qqqqqq", "unknown target 'qqqqqq'; there are: "),
        ("cpu{thread=1}", "'cpu' has no option 'thread', did you mean 'threads'?"),
        ("cpu{threads=two}", "option 'threads': expected a whole number, found 'two'"),
        ("cpu cuda", "unexpected 'cuda'"),
    ):
        with pytest.raises(UsageError, match=problem.replace("?", r"\?")):
            catalogue.backend(text)


def installed(folder: Path, entries: Mapping[str, Mapping[str, str]], code: str) -> str:
    """Run code where a package with these entry points is installed; return what it prints."""
    for name, text in MODULES.items():
        (folder / name).write_text(text, "utf-8")
    info = folder / "tiny-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n", "utf-8")
    lines = []
    for group, items in entries.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in items.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")
    header = "import sys\nfrom onnxopt import catalogue\nfrom onnxopt.pipeline import Pipeline\n"
    header += "from onnxopt.errors import UsageError\n"
    done = subprocess.run(
        [sys.executable, "-c", header + code],
        env={"PYTHONPATH": f"{folder}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_other_packages_add_passes_rules_and_targets(tmp_path: Path) -> None:
    entries = {
        "onnxopt.passes": {
            "do-nothing": "tiny_pass:Nothing",
            "in-module": "tiny_pass",
            "sin-to-cos": "tiny_rule:SinToCos",
            "rules/of-trig": "tiny_rule",
        },
        "onnxopt.backends": {"toaster": "tiny_backend:Toaster", "grill": "tiny_backend"},
    }
    code = """
for name in ("do-nothing", "in-module", "sin-to-cos", "rules/of-trig", "toaster", "grill"):
    assert (name in catalogue.passes()) != (name in catalogue.targets()), name
text = "do-nothing{times=3}, repeat(in-module, sin-to-cos, rules/of-trig), dce"
assert str(Pipeline.parse(text)) == text
assert str(Pipeline.parse(text).without(["sin-to-cos"])) == text.replace(" sin-to-cos,", "")
assert catalogue.find_pass("sin-to-cos").rules[0].name == "sin-to-cos"
assert catalogue.find_pass("rules/of-trig").rules[0].name == "rules/of-trig"
assert catalogue.backend("toaster{heat=5}").heat == 5
assert catalogue.find_backend("grill").unavailable() == "buy one"
sys.argv = ["onnxopt", "passes", "do-nothing"]
from onnxopt.cli import main
main()
"""
    said = installed(tmp_path, entries, code)
    assert said.startswith("do-nothing: Do nothing, so many times.")
    assert "times = 1" in said


CLASHES = """
for names in (catalogue.passes, catalogue.targets):
    try:
        names()
    except UsageError as problem:
        print(problem)
"""


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("passes", "dce", "tiny_pass:Nothing"),
        ("passes", "fuse", "tiny_pass:Nothing"),
        ("passes", "repeat", "tiny_pass:Nothing"),
        ("backends", "cpu", "tiny_backend:Toaster"),
    ],
)
def test_a_name_that_is_taken(tmp_path: Path, group: str, name: str, value: str) -> None:
    said = installed(tmp_path, {f"onnxopt.{group}": {name: value}}, CLASHES)
    assert said == f"'{name}' is provided by {value} and by onnxopt itself\n"


def test_other_packages_add_schemes(tmp_path: Path) -> None:
    entries = {"onnxopt.schemes": {"mine": "tiny_scheme:MINE", "odd": "tiny_pass:Nothing"}}
    code = """
from onnxopt.quantizer.schemes import scheme_of
print(scheme_of("mine").pipeline)
for name in ("odd", "mime"):
    try:
        scheme_of(name)
    except UsageError as problem:
        print(problem)
"""
    said = installed(tmp_path, entries, code).splitlines()
    assert said[0] == "quantize/weights{type=int4}"
    assert said[1].endswith("is no Scheme of that name")
    assert "did you mean 'mine'?" in said[2]


def test_entry_points_that_lead_nowhere(tmp_path: Path) -> None:
    entries = {
        "onnxopt.passes": {"gone": "no_such_module:X", "text": "tiny_pass:__doc__"},
        "onnxopt.backends": {"lost": "tiny_backend:X", "mute": "tiny_pass"},
    }
    code = """
for find, name in ((catalogue.find_pass, "gone"), (catalogue.find_pass, "text"),
                   (catalogue.find_backend, "lost"), (catalogue.find_backend, "mute")):
    try:
        find(name)
    except UsageError as problem:
        print(str(problem).replace("\\n", " "))
"""
    said = installed(tmp_path, entries, code).splitlines()
    assert said[0].startswith("'gone' cannot be loaded from no_such_module:X: No module named")
    assert "is neither a Pass nor a Rule nor a module" in said[1]
    assert said[2].startswith("'lost' cannot be loaded from tiny_backend:X")
    assert "is no Backend, and defines none" in said[3]
