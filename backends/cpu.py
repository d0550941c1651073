"""ONNX Runtime on the CPU."""

from __future__ import annotations

import functools
import platform

from onnxopt.backends._install import max_opset, missing, operators, zero_rows
from onnxopt.backends._integer import of_this_machine
from onnxopt.backends._ort import OrtBackend
from onnxopt.backends._pipelines import ONNXRUNTIME_CPU
from onnxopt.target import Target

PROVIDER = "CPUExecutionProvider"

_BLOCK = 16
"""Of AVX512; 8 channels on older x86, which divide it."""


class Cpu(OrtBackend):
    """ONNX Runtime's CPU execution provider."""

    @classmethod
    def target(cls) -> Target:
        """Return the facts, as the installed runtime states them."""
        return Target(
            name="cpu",
            pipeline=ONNXRUNTIME_CPU,
            probe_max_opset=max_opset,
            probe_operators=functools.partial(operators, PROVIDER),
            probe_zero_rows=functools.partial(zero_rows, PROVIDER),
            integer=of_this_machine(),
            channel_block=0 if platform.machine().lower() in ("arm64", "aarch64") else _BLOCK,
        )

    @classmethod
    def unavailable(cls) -> str | None:
        """Say how to get the runtime when it is not there."""
        return missing(PROVIDER)

    def provider_settings(self) -> tuple[str, dict[str, str]]:
        """Return the CPU provider, which has no options of its own."""
        return PROVIDER, {}
