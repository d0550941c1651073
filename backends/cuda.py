"""ONNX Runtime on an NVIDIA GPU."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import onnx_ir as ir

from onnxopt.backends._bound import BoundSession
from onnxopt.backends._cudart import CudaClock, library
from onnxopt.backends._install import max_opset, missing, operators, preload, zero_rows
from onnxopt.backends._ort import OrtBackend
from onnxopt.backends._pipelines import ONNXRUNTIME_CUDA
from onnxopt.backends._session import OrtSession
from onnxopt.errors import BackendError
from onnxopt.target import Target

if TYPE_CHECKING:
    import onnxruntime as ort

    from onnxopt.backends._cudart import Clock

PROVIDER = "CUDAExecutionProvider"


class Cuda(OrtBackend):
    """ONNX Runtime's CUDA execution provider."""

    device: int = 0
    tf32: bool = True
    """Let matrix units round float32 operands to 10 bits of mantissa."""
    cudnn_search: Literal["exhaustive", "heuristic", "default"] = "exhaustive"
    """How convolutions are chosen; exhaustive tries every one again for every new input shape."""
    cuda_graph: bool = False
    """Record one run and replay it: every node on the GPU, fixed shapes, no control flow."""
    io_binding: bool = False
    """Keep the buffers of inputs and outputs on the GPU from run to run."""
    nhwc: bool = False
    """Let convolutions work with channels last."""
    memory_limit: int | None = None
    """Bytes that the arena may hold."""
    device_time: bool = False
    """Read the device's clock at every run, which takes a stream that the session keeps to."""

    @classmethod
    def target(cls) -> Target:
        """Return the facts, as the installed runtime states them."""
        return Target(
            name="cuda",
            pipeline=ONNXRUNTIME_CUDA,
            probe_max_opset=max_opset,
            probe_operators=functools.partial(operators, PROVIDER),
            half=("float16", "bfloat16"),
            probe_zero_rows=functools.partial(zero_rows, PROVIDER),
        )

    @classmethod
    def unavailable(cls) -> str | None:
        """Say how to get the runtime's CUDA build when it is not there."""
        return missing(PROVIDER)

    def provider_settings(self) -> tuple[str, dict[str, str]]:
        """Return the CUDA provider and its options, written as the runtime reads them."""
        settings = {
            "device_id": str(self.device),
            "use_tf32": str(int(self.tf32)),
            "cudnn_conv_algo_search": self.cudnn_search.upper(),
            "enable_cuda_graph": str(int(self.cuda_graph)),
            "prefer_nhwc": str(int(self.nhwc)),
        }
        if self.memory_limit is not None:
            settings["gpu_mem_limit"] = str(self.memory_limit)
        return PROVIDER, settings

    def timed(self) -> Cuda:
        """Return the target with the device's clock read, where CUDA's runtime library is found."""
        preload(PROVIDER)
        if missing(PROVIDER) is not None or library() is None:
            return self
        return dataclasses.replace(self, device_time=True)

    def alone(self) -> str | None:
        """Say that buffers, a graph's among them, and the clock are one caller's at a time."""
        options = {
            "cuda-graph": self.cuda_graph,
            "io-binding": self.io_binding,
            "device-time": self.device_time,
        }
        taken = next((name for name, wanted in options.items() if wanted), None)
        return taken and f"cuda with {taken} serves one caller at a time"

    def clock(self) -> CudaClock | None:
        """Return events on a stream of the device, where they are asked for."""
        if not self.device_time:
            return None
        cuda = library()
        if cuda is None:
            raise BackendError(
                "CUDA's runtime library (libcudart) is not found, so the device cannot be timed: "
                'pip install "onnxruntime-gpu[cuda,cudnn]", or leave device-time out'
            )
        return CudaClock(cuda, self.device)

    def open(self, model: ir.Model | Path) -> OrtSession:
        """Load a model, after CUDA's libraries from their Python wheels where those are used."""
        preload(PROVIDER)
        return super().open(model)

    def session(
        self, session: ort.InferenceSession, weights: Sequence[ort.OrtValue], clock: Clock | None
    ) -> OrtSession:
        """Bind buffers on the GPU where options ask for them."""
        if self.io_binding or self.cuda_graph:
            place = ("cuda", self.device)
            return BoundSession(
                session,
                PROVIDER,
                weights,
                device=place,
                fixed_outputs=self.cuda_graph,
                clock=clock,
            )
        return super().session(session, weights, clock)
