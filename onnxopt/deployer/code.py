"""Code that opens a deployed model without this package."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from onnxopt import catalogue
from onnxopt.spec import write_options

_USUAL = {"threads": 0, "spinning": True}
_PROVIDERS = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"],
}


def plain_code(model: str, session: str) -> list[str]:
    """Return lines that open a model the same way with ONNX Runtime alone; none for other options.

    The last one opens it; those before it, if there are any, set its options.
    """
    backend: Any = catalogue.backend(session)
    providers = _PROVIDERS.get(type(backend).target().name)
    if providers is None or write_options(dataclasses.replace(backend, **_USUAL)):
        return []
    lines = []
    if backend.threads:
        lines.append(f"options.intra_op_num_threads = {backend.threads}")
    if not backend.spinning:
        lines.append('options.add_session_config_entry("session.intra_op.allow_spinning", "0")')
    if lines:
        lines.insert(0, "options = onnxruntime.SessionOptions()")
    given = "options, " if lines else ""
    names = ", ".join(f'"{name}"' for name in providers)
    path = json.dumps(model)
    return [*lines, f"onnxruntime.InferenceSession({path}, {given}providers=[{names}])"]
