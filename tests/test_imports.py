"""Imports go one way, and the heavy ones come late."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.source import LIBRARY, ROOT, files, module_name

PASSES = "onnxopt.passes"
BACKENDS = "onnxopt.backends"
MODULES = {module_name(path): path for path in files(*LIBRARY)}

# A pass knows the model, the rewriting engine and facts about targets; nothing of who runs it.
CLOSED_TO_PASSES = {
    "api",
    "backends",
    "catalogue",
    "cli",
    "evaluate",
    "deployer",
    "exporter",
    "framework",
    "frameworks",
    "lossless",
    "measure",
    "pipeline",
    "report",
    "samples",
    "verify",
}
OPEN_TO_BACKENDS = {"onnxopt._startup", "onnxopt.errors", "onnxopt.kernels", "onnxopt.target"}


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if not typing and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _at_import(child)


def _imported(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the modules of onnxopt that some import statements name."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= inner or {node.module}
            if len(inner) < len(node.names):
                found.add(node.module)
    return {name for name in found if name.partition(".")[0] == "onnxopt"}


def _imports(path: Path) -> set[str]:
    """Return what a file imports of onnxopt, anywhere in it."""
    return _imported(ast.walk(ast.parse(path.read_text("utf-8"))))


def _run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", [n for n in MODULES if n.startswith(PASSES)])
def test_passes_know_no_one_who_runs_them(name: str) -> None:
    rooms = {imported.split(".")[1] for imported in _imports(MODULES[name]) if "." in imported}
    assert rooms & CLOSED_TO_PASSES == set()
    assert "onnxopt" not in _imports(MODULES[name])


@pytest.mark.parametrize("name", [n for n in MODULES if n.startswith(BACKENDS)])
def test_backends_know_targets_only(name: str) -> None:
    outside = {found for found in _imports(MODULES[name]) if not found.startswith(BACKENDS)}
    assert outside - OPEN_TO_BACKENDS == set()


@pytest.mark.parametrize("name", [n for n in MODULES if not n.startswith((PASSES, BACKENDS))])
def test_the_engine_knows_no_pass_and_no_backend(name: str) -> None:
    assert {f for f in _imports(MODULES[name]) if f.startswith((PASSES, BACKENDS))} == set()


def test_no_module_waits_for_itself() -> None:
    graph = {
        name: _imported(_at_import(ast.parse(path.read_text("utf-8")))) & MODULES.keys()
        for name, path in MODULES.items()
    }
    tuple(graphlib.TopologicalSorter(graph).static_order())


def test_importing_is_light() -> None:
    heavy = "{'jinja2', 'matplotlib', 'onnx', 'onnxruntime', 'openvino', 'rich', 'sympy', 'torch'}"
    assert _run(f"import onnxopt, sys; print(sorted({heavy} & sys.modules.keys()))") == "[]"


def test_help_is_light() -> None:
    heavy = "{'numpy', 'onnx', 'onnx_ir', 'onnxruntime', 'openvino', 'sympy', 'torch'}"
    code = f"""
import os, sys
from onnxopt.cli import main
os._exit = sys.exit
sys.argv = ["onnxopt", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code
print(sorted({heavy} & sys.modules.keys()))
"""
    assert _run(code) == "[]"
