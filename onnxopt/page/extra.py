"""The libraries that pages are made with, and how to get them."""

from __future__ import annotations

import importlib.util

from onnxopt.errors import UsageError

_NEEDED = ("jinja2", "matplotlib")


def require() -> None:
    """Raise UsageError, saying what to install, where a library for pages is missing."""
    absent = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        raise UsageError(f'an HTML page needs {" and ".join(absent)}: pip install "onnxopt[html]"')
