"""onnxopt: rewrite, verify and measure ONNX models."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnxopt.api import (
        bench,
        compare,
        diff,
        doctor,
        inspect,
        load,
        optimize,
        optimize_with_report,
        profile,
        prune,
        prune_with_report,
        quantize,
        quantize_with_report,
        save,
    )
    from onnxopt.delivery import deploy, export, export_with_report, session

__version__ = "0.1.0"

__all__ = [
    "bench",
    "compare",
    "deploy",
    "diff",
    "doctor",
    "export",
    "export_with_report",
    "inspect",
    "load",
    "optimize",
    "optimize_with_report",
    "profile",
    "prune",
    "prune_with_report",
    "quantize",
    "quantize_with_report",
    "save",
    "session",
]

_DELIVERY = frozenset({"deploy", "export", "export_with_report", "session"})


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: importing onnxopt costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'onnxopt' has no attribute '{name}'")
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    home = "onnxopt.delivery" if name in _DELIVERY else "onnxopt.api"
    return getattr(importlib.import_module(home), name)
