"""What is done in a process of its own: the far end of ``onnxopt.diagnosis.child``."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from onnxopt.diagnosis.child import MARK
from onnxopt.errors import OnnxoptError

_MODEL = """<ir_version: 8, opset_import: ["" : 17]>
g (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1, 2, 3, 4}, float[2] b = {1, -1}> {
    p = MatMul (x, w)
    y = Add (p, b)
}"""
_X, _Y = [[1.0, 2.0], [3.0, 4.0]], [[8.0, 9.0], [16.0, 21.0]]
"""Small integers: every number format of every device computes them exactly."""


def main(task: str, *words: str) -> None:
    """Do a task and write its result in one line."""
    try:
        result = _TASKS[task](*words)
    except (OnnxoptError, ImportError, OSError, AttributeError, RuntimeError, ValueError) as error:
        result = {"error": f"{' '.join(str(error).split())[:400] or type(error).__name__}"}
    sys.stdout.write(f"\n{MARK}{json.dumps(result)}\n")
    sys.stdout.flush()
    os._exit(0)  # a library that crashes when it is taken down has still done what was asked


def versions() -> dict[str, Any]:
    """Return the versions of the format that onnx writes, and import what everything stands on."""
    import numpy
    import onnx
    import onnx_ir

    return {
        "onnx": onnx.__version__,
        "onnx-ir": onnx_ir.__version__,
        "numpy": numpy.__version__,
        "ir": int(onnx.IR_VERSION),
        "opset": onnx.defs.onnx_opset_version(),
    }


def loading() -> dict[str, Any]:
    """Load the installed ONNX Runtime, without a model."""
    import onnxruntime as ort

    return {"version": ort.__version__}


def runtime() -> dict[str, Any]:
    """Return what the installed ONNX Runtime is, loads and assumes."""
    import onnxruntime as ort

    threads = _threads()
    session = ort.InferenceSession(_model(8, 17), _quiet(), providers=["CPUExecutionProvider"])
    started = _threads() - threads
    del session
    return {
        "version": ort.__version__,
        "file": ort.__file__,
        "providers": ort.get_available_providers(),
        "cuda": str(getattr(ort, "cuda_version", "")),
        "ir": _told(_model(1_000_000, 17), r"max supported IR version: (\d+)"),
        "opset": _told(_model(8, 1_000_000), r"ai\.onnx is till opset (\d+)"),
        "threads": started + 1 if threads else 0,
    }


def targets() -> dict[str, Any]:
    """Return the targets, each with why it cannot be used here, or None."""
    from onnxopt import catalogue

    return {name: catalogue.find_backend(name).unavailable() for name in catalogue.targets()}


def node(target: str) -> dict[str, Any]:
    """Load and run two nodes on a target; return where they ran and how far off the result is."""
    import numpy as np
    import onnx_ir as ir

    from onnxopt import catalogue

    with catalogue.backend(target).open(ir.from_onnx_text(_MODEL)) as session:
        (y,) = session.run({"x": np.array(_X, np.float32)}).values()
        elsewhere = sorted({place.provider for place in session.fallbacks()})
    return {"off": float(np.abs(y - np.array(_Y)).max()), "elsewhere": elsewhere}


def _model(ir_version: int, opset: int) -> bytes:
    import onnx_ir as ir

    model = ir.from_onnx_text(_MODEL)
    model.ir_version = ir_version
    model.graph.opset_imports[""] = opset
    data: bytes = ir.to_proto(model).SerializeToString()
    return data


def _quiet() -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    return options


def _told(model: bytes, pattern: str) -> int | None:
    """Return the number that the runtime names when it refuses a model from the far future."""
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = [kind for kind in vars(state).values() if isinstance(kind, type)]
    errors = tuple(kind for kind in kinds if issubclass(kind, Exception))
    try:
        ort.InferenceSession(model, _quiet(), providers=["CPUExecutionProvider"])
    except errors as error:
        told = re.search(pattern, str(error))
        return int(told.group(1)) if told else None
    return None


def _threads() -> int:
    """Return the threads of this process; 0 where the system does not tell."""
    folder = Path("/proc/self/task")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


_TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "versions": versions,
    "loading": loading,
    "runtime": runtime,
    "targets": targets,
    "node": node,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
