"""ONNX Runtime on the CPU."""

from __future__ import annotations

from onnxopt.backends._install import max_opset, missing
from onnxopt.backends._ort import OrtBackend
from onnxopt.target import Target

PIPELINE = "default"


class Cpu(OrtBackend):
    """ONNX Runtime's CPU execution provider."""

    @classmethod
    def target(cls) -> Target:
        """Return the facts; the newest operator set is the installed runtime's."""
        return Target(name="cpu", pipeline=PIPELINE, max_opset=max_opset())

    @classmethod
    def unavailable(cls) -> str | None:
        """Say how to get the runtime when it is not there."""
        return missing("CPUExecutionProvider")

    def providers(self) -> list[tuple[str, dict[str, str]]]:
        """Return the CPU provider, which has no options of its own."""
        return [("CPUExecutionProvider", {})]
