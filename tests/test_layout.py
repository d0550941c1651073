"""What is installed is what lies in the tree."""

from __future__ import annotations

import tomllib

import pytest

from tests.source import LIBRARY, LINKS, ROOT, files, module_name


def _packages() -> set[str]:
    """Return the folders of the library that hold modules, as packages."""
    return {module_name(path.parent / "__init__.py") for path in files(*LIBRARY)}


def test_every_package_is_installed() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = declared["tool"]["setuptools"]["packages"]
    assert sorted(packages) == sorted(_packages())


def test_every_package_has_an_init() -> None:
    folders = {path.parent for path in files(*LIBRARY)}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("name", sorted(LINKS))
def test_links_lead_to_the_root(name: str) -> None:
    link = ROOT / "onnxopt" / name
    assert link.is_symlink()
    assert str(link.readlink()) == f"../{name}"
