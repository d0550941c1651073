"""The project's own source files, for the tests that hold its shape."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARY = ("onnxopt", "passes", "backends")
LINKS = {"passes", "backends"}


def files(*folders: str, pattern: str = "*.py") -> Iterator[Path]:
    """Yield the files of some folders at the root, each once: links are not followed."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob(pattern)):
            parts = path.relative_to(ROOT).parts
            hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
            linked = parts[0] == "onnxopt" and parts[1] in LINKS
            if path.is_file() and not hidden and not linked:
                yield path


def module_name(path: Path) -> str:
    """Return the name under which a file of the library is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    inside = parts if parts[0] == "onnxopt" else ("onnxopt", *parts)
    return ".".join(part for part in inside if part != "__init__")
