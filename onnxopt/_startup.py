"""Import onnx-ir without the quarter of a second that its import of sympy costs.

onnx-ir needs sympy only to do arithmetic on its own symbolic dimensions, yet imports it at once.
While onnx-ir is being imported, a stand-in takes sympy's place; each of its attributes resolves to
the real library on first use. Nobody else ever sees the stand-in.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _Deferred(ModuleType):
    """Stands in for a module: attributes are functions that import it when called."""

    loading = True

    def __getattr__(self, attribute: str) -> Any:
        name = self.__name__
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        if self.loading:
            return lambda *args: getattr(importlib.import_module(name), attribute)(*args)
        return getattr(importlib.import_module(name), attribute)


def import_onnx_ir() -> None:
    """Import onnx_ir quickly; does nothing where it, or sympy, is imported already."""
    if "onnx_ir" in sys.modules or "sympy" in sys.modules:
        return
    stand_in = _Deferred("sympy")
    sys.modules["sympy"] = stand_in
    try:
        importlib.import_module("onnx_ir")
    finally:
        sys.modules.pop("sympy", None)
        stand_in.loading = False
