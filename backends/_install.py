"""Whether ONNX Runtime is installed with a provider, and how to get it when it is not."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import re
import textwrap

GET = {
    "CPUExecutionProvider": "pip install onnxruntime",
    "CUDAExecutionProvider": 'pip install "onnxruntime-gpu[cuda,cudnn]"',
    "TensorrtExecutionProvider": (
        'pip install "onnxruntime-gpu[cuda,cudnn]", and TensorRT from NVIDIA on the library path'
    ),
    "OpenVINOExecutionProvider": "pip install onnxruntime-openvino",
    "DmlExecutionProvider": "pip install onnxruntime-directml",
    "QNNExecutionProvider": "pip install onnxruntime-qnn",
}
LEAST_OPSET = 22  # of the oldest runtime that the extras allow

_LOCATION = re.compile(
    r"^(?:Exception during initialization: )?\S+\.(?:cc|cpp|h|hpp):\d+ .*?\)(?: const)? "
)
_PLACE = re.compile(r"/onnxruntime_src/\S+?:\d+ .*?\)(?: const)? ")
_STATUS = re.compile(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ")


def distributions() -> list[str]:
    """Return the installed distributions that hold the module ``onnxruntime``, by name."""
    found = importlib.metadata.packages_distributions().get("onnxruntime", [])
    return sorted(set(found))


def missing(provider: str) -> str | None:
    """Say why a provider cannot be used here and how to get it; None when it can."""
    get = GET.get(provider, "install the build of onnxruntime that has it")
    if importlib.util.find_spec("onnxruntime") is None:
        return f"onnxruntime is not installed: {get}"
    import onnxruntime as ort

    there = ort.get_available_providers()
    if provider in there:
        return None
    installed = distributions()
    held = ", ".join(name.removesuffix("ExecutionProvider") for name in there)
    if len(installed) > 1:
        names = " and ".join(installed)
        return (
            f"{names} are both installed and overwrite each other, so {provider} is lost: "
            f"pip uninstall -y {' '.join(installed)}, then {get}"
        )
    if provider not in ort.get_all_providers():
        return f"onnxruntime knows no provider '{provider}'; this build has {held}"
    remove = f"pip uninstall -y {installed[0]}, then " if installed else ""
    return f"this onnxruntime has no {provider} (it has {held}): {remove}{get}"


def preload(provider: str) -> None:
    """Load CUDA's libraries from their Python wheels, where the runtime has the provider."""
    if missing(provider) is None:
        import onnxruntime as ort

        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it cannot find
            ort.preload_dlls()


def max_opset() -> int:
    """Return the newest default operator set that the installed runtime loads.

    The runtime itself tells, in its refusal of a model from the far future.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return LEAST_OPSET
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        ort.InferenceSession(_far_future(), options, providers=["CPUExecutionProvider"])
    except runtime_errors() as error:
        told = re.search(r"domain ai\.onnx is till opset (\d+)", str(error))
        if told:
            return int(told.group(1))
    return LEAST_OPSET


def operators(provider: str) -> frozenset[str]:
    """Return what a provider has kernels for, as ``domain::Name``, ONNX's own as ``ai.onnx``.

    The list comes from the runtime. Internal layouts are left out: only the runtime's own
    optimizer may place them.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return frozenset()
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    if not hasattr(state, "get_all_opkernel_def"):
        return frozenset()
    return frozenset(
        f"{kernel.domain or 'ai.onnx'}::{kernel.op_name}"
        for kernel in state.get_all_opkernel_def()
        if kernel.provider == provider and kernel.domain in ("", "com.microsoft")
    )


def zero_rows(provider: str) -> bool:
    """Return whether a provider's Attention gives zeros for a query that attends to nothing.

    So says ONNX since 1.23; ONNX Runtime's CPU provider gave NaN until 1.24. It is asked for one
    query and one key that is hidden from it.
    """
    if missing(provider) is not None:
        return False
    import numpy as np
    import onnxruntime as ort

    one = np.ones((1, 1, 1, 1), np.float32)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(_one_query(), options, providers=[provider])
        (found,) = session.run(None, {"x": one, "mask": one * -np.inf})
    except runtime_errors():
        return False
    return bool(found.item() == 0)


def _one_query() -> bytes:
    import onnx_ir as ir

    shape, kind = ir.Shape([1, 1, 1, 1]), ir.TensorType(ir.DataType.FLOAT)
    x, mask, y = (ir.Value(name=name, shape=shape, type=kind) for name in ("x", "mask", "y"))
    node = ir.Node("", "Attention", [x, x, x, mask], outputs=[y])
    graph = ir.Graph([x, mask], [y], nodes=[node], opset_imports={"": 23}, name="g")
    data: bytes = ir.to_proto(ir.Model(graph, ir_version=11)).SerializeToString()
    return data


def _far_future() -> bytes:
    import onnx_ir as ir

    shape, kind = ir.Shape([1]), ir.TensorType(ir.DataType.FLOAT)
    x = ir.Value(name="x", shape=shape, type=kind)
    node = ir.Node("", "Identity", [x], outputs=[ir.Value(name="y", shape=shape, type=kind)])
    graph = ir.Graph([x], node.outputs, nodes=[node], opset_imports={"": 1_000_000}, name="g")
    data: bytes = ir.to_proto(ir.Model(graph, ir_version=8)).SerializeToString()
    return data


def runtime_errors() -> tuple[type[Exception], ...]:
    """Return what ONNX Runtime raises, which has no base class of its own, and unreadable files."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type)]
    return (
        OSError,
        RuntimeError,
        ValueError,
        *(kind for kind in own if issubclass(kind, Exception)),
    )


def one_line(error: Exception) -> str:
    """Return a runtime's message without status codes and C++ places, on one line."""
    text = _STATUS.sub("", str(error).strip())
    return textwrap.shorten(_PLACE.sub("", _LOCATION.sub("", text)), 400, placeholder=" …")
