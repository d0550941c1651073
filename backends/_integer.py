"""The integer kernels of each target, as rows; what they rest on is in docs/quantization.md."""

from __future__ import annotations

import dataclasses
import platform
from pathlib import Path

from onnxopt.kernels import VNNI, IntegerKernels, Kernel, Requantized, Role


def _own(*becomes: str) -> Kernel:
    return Kernel(role=Role.OWN, becomes=frozenset(becomes))


_SHARED = Kernel(role=Role.SHARED)
_MOVED = Kernel(role=Role.MOVED)
_ABSORBED = Kernel(role=Role.ABSORBED)
_FUSED = Kernel(role=Role.FUSED)
_MATRIX = Kernel(
    role=Role.PRODUCT,
    becomes=frozenset(("MatMulIntegerToFloat", "QGemm", "QLinearMatMul")),
    requantized=Requantized.NEVER,
    takes_along=frozenset(("Clip", "Relu")),
)

_JOINED = frozenset(
    ("Elu", "HardSigmoid", "LeakyRelu", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Tanh")
)
"""The activations of FusedGemm."""

_ONNXRUNTIME = {
    "Conv": Kernel(role=Role.PRODUCT, becomes=frozenset(("QLinearConv",))),
    "MatMul": _MATRIX,
    "Gemm": dataclasses.replace(_MATRIX, joins=_JOINED),
    "Add": _own("QLinearAdd"),
    "AveragePool": _own("QLinearAveragePool"),
    "Concat": _own("QLinearConcat"),
    "GlobalAveragePool": _own("QLinearGlobalAveragePool"),
    "LeakyRelu": _own("QLinearLeakyRelu"),
    "Mul": _own("QLinearMul"),
    "Sigmoid": _own("QLinearSigmoid"),
    "DepthToSpace": _MOVED,
    "Flatten": _SHARED,
    "Gather": _MOVED,
    "MaxPool": _SHARED,
    "Pad": dataclasses.replace(_MOVED, only=(("mode", "constant"),)),
    "Reshape": _SHARED,
    "Resize": dataclasses.replace(_SHARED, only=(("mode", "nearest"),)),
    "Slice": _MOVED,
    "Split": _MOVED,
    "Squeeze": _SHARED,
    "Transpose": _SHARED,
    "Unsqueeze": _SHARED,
    "Clip": _ABSORBED,
    "Relu": _ABSORBED,
}
"""Softmax has an integer kernel that takes six times as long as the one in float, so no row."""

_DYNAMIC = frozenset(("Gemm", "MatMul"))
"""Convolutions have such a kernel too, six times slower than the one in float."""

X86_VNNI = IntegerKernels(name="x86-vnni", rows=_ONNXRUNTIME, activations="uint8", dynamic=_DYNAMIC)
"""AVX512-VNNI, AVX-VNNI or AMX. Only uint8 by int8 is fast: two of a kind are no faster than float,
or several times slower."""

X86 = dataclasses.replace(X86_VNNI, name="x86", saturates=True)
"""AVX2 and AVX512 without VNNI."""

ARM = dataclasses.replace(X86_VNNI, name="arm", activations="int8")
"""Its instructions multiply numbers of one kind, here signed ones, and none saturates at 16 bits.

The zero point of what a Relu makes is -128.
"""

_FULLY_CONNECTED = Kernel(
    role=Role.PRODUCT,
    becomes=frozenset(("FullyConnected* *_[Ii]8",)),
    requantized=Requantized.NEVER,
)
_POOL = Kernel(role=Role.OWN, requantized=Requantized.READ)

_OPENVINO = {
    "Conv": Kernel(
        role=Role.PRODUCT,
        becomes=frozenset(("Convolution *_[Ii]8",)),
        requantized=Requantized.READ,
    ),
    "MatMul": _FULLY_CONNECTED,
    "Gemm": _FULLY_CONNECTED,
    "Add": _FUSED,
    "Clip": _FUSED,
    "Elu": _FUSED,
    "Gelu": _FUSED,
    "HardSwish": _FUSED,
    "LeakyRelu": _FUSED,
    "Mish": _FUSED,
    "Mul": _FUSED,
    "Relu": _FUSED,
    "Sigmoid": _FUSED,
    "Swish": _FUSED,
    "Tanh": _FUSED,
    "AveragePool": _POOL,
    "Concat": _own(),
    "GlobalAveragePool": _POOL,
    "DepthToSpace": _SHARED,
    "Flatten": _SHARED,
    "MaxPool": _SHARED,
    "Pad": dataclasses.replace(_SHARED, only=(("mode", "constant"),)),
    "Reshape": _SHARED,
    "Slice": _SHARED,
    "Split": _SHARED,
    "Squeeze": _SHARED,
    "Transpose": _SHARED,
    "Unsqueeze": _SHARED,
}

OPENVINO = IntegerKernels(
    name="openvino", rows=_OPENVINO, activations="uint8", float_bias=True, told_apart=False
)
"""OpenVINO finds by itself what moves data. A sum goes up in the convolution before it; one that
does not is left in float."""

_TENSORRT = {
    "Conv": Kernel(role=Role.PRODUCT, requantized=Requantized.READ),
    "MatMul": Kernel(role=Role.PRODUCT, requantized=Requantized.NEVER),
    "Gemm": Kernel(role=Role.PRODUCT, requantized=Requantized.NEVER),
    "Add": _FUSED,
    "Clip": _FUSED,
    "LeakyRelu": _FUSED,
    "Relu": _FUSED,
    "AveragePool": _POOL,
    "GlobalAveragePool": _POOL,
    **{name: row for name, row in _OPENVINO.items() if row.role is Role.SHARED},
}

TENSORRT = IntegerKernels(
    name="tensorrt",
    rows=_TENSORRT,
    activations="int8",
    symmetric=True,
    float_bias=True,
    told_apart=False,
)
"""Zero points must be zero. All inputs of products are quantized, outputs where integers are
computed from them, and the other operand of a residual sum, which then goes up in the convolution
before it. Source: NVIDIA, TensorRT, "Explicit Quantization", recommended placement."""


def of_this_machine() -> IntegerKernels:
    """Return the kernels that ONNX Runtime has for the processor at hand."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        return ARM
    flags = _flags()
    return X86 if "avx2" in flags and not flags.intersection(VNNI) else X86_VNNI


def openvino_of_this_machine() -> IntegerKernels:
    """Return those of OpenVINO, which adds in 16 bits on x86 without AVX2 too."""
    flags = _flags()
    saturates = "sse4_1" in flags and not flags.intersection(VNNI)
    return dataclasses.replace(OPENVINO, saturates=saturates)


def _flags() -> set[str]:
    """Return the instruction sets of this processor, none where the system does not tell."""
    try:
        return set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return set()
