"""The maxima of the house style, and what no file may say. CONTRIBUTING.md explains them."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.source import LIBRARY, ROOT, files

CODE = (*LIBRARY, "tests", "benchmarks", "examples")
TEXT = ("*.py", "*.md", "*.toml", "*.yml", "*.yaml", "*.sh")
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X])\b")
OWN_MACHINE = re.compile(r"(?<![\w.~-])/(root|home|work)/\w")
CATCH_ALL = re.compile(r"^\s*except(\s+(Base)?Exception\b.*)?:", re.MULTILINE)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _length(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the name and the number of lines of every function of a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, Function):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield f"{path.relative_to(ROOT)}: {node.name}", lines


def _written() -> Iterator[Path]:
    """Yield every text file that a person wrote."""
    for pattern in TEXT:
        yield from files(*CODE, "docs", pattern=pattern)
        yield from sorted(ROOT.glob(pattern))
    yield from (ROOT / "Makefile", ROOT / ".ci" / "run")


def _offenders(rule: re.Pattern[str], paths: Iterator[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {found.group().strip()}"
        for path in paths
        for found in rule.finditer(path.read_text("utf-8"))
    ]


def test_no_file_is_long() -> None:
    lengths = {str(path.relative_to(ROOT)): _length(path) for path in files(*CODE)}
    assert {path: lines for path, lines in lengths.items() if lines > 400} == {}


def test_most_files_are_short() -> None:
    assert statistics.median(_length(path) for path in files(*LIBRARY)) < 120


def test_no_function_is_long() -> None:
    lengths = dict(found for path in files(*CODE) for found in _functions(path))
    assert {name: lines for name, lines in lengths.items() if lines > 60} == {}


def test_most_functions_are_short() -> None:
    lengths = sorted(lines for path in files(*LIBRARY) for _, lines in _functions(path))
    assert lengths[len(lengths) * 9 // 10] < 30


def test_every_module_says_what_it_is() -> None:
    silent = [p for p in files(*CODE) if not ast.get_docstring(ast.parse(p.read_text("utf-8")))]
    assert [str(path.relative_to(ROOT)) for path in silent] == []


def test_annotations_are_never_evaluated() -> None:
    line = "from __future__ import annotations"
    late = [
        str(path.relative_to(ROOT))
        for path in files(*CODE)
        if any(_functions(path)) and line not in path.read_text("utf-8").splitlines()
    ]
    assert late == []


@pytest.mark.parametrize("path", list(files("passes")), ids=lambda path: path.stem)
def test_passes_explain_themselves(path: Path) -> None:
    """Every public class of a pass file states its mathematics, or before and after."""
    tree = ast.parse(path.read_text("utf-8"))
    public = [n for n in tree.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")]
    assert [node.name for node in public if not ast.get_docstring(node)] == []


def test_nothing_is_left_unfinished() -> None:
    assert _offenders(UNFINISHED, _written()) == []


def test_no_machine_is_named() -> None:
    assert _offenders(OWN_MACHINE, _written()) == []


def test_nothing_catches_everything() -> None:
    assert _offenders(CATCH_ALL, files(*LIBRARY)) == []
