"""NVIDIA TensorRT, through ONNX Runtime."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import onnx_ir as ir

from onnxopt.backends._install import max_opset, missing, preload
from onnxopt.backends._integer import TENSORRT
from onnxopt.backends._ort import OrtBackend
from onnxopt.backends._pipelines import LOSSLESS
from onnxopt.backends._session import OrtSession
from onnxopt.target import Target

PROVIDER = "TensorrtExecutionProvider"
_NEXT = "CUDAExecutionProvider"


class Tensorrt(OrtBackend):
    """ONNX Runtime's TensorRT execution provider; what it does not take, CUDA computes."""

    device: int = 0
    half: bool = False
    """Let layers in float run in float16 where that is faster."""
    cache: Path | None = None
    """The folder that keeps compiled engines; without, every session compiles for minutes."""

    @classmethod
    def target(cls) -> Target:
        """Return the facts."""
        return Target(
            name="tensorrt",
            pipeline=f"{LOSSLESS}, infer-shapes",
            probe_max_opset=max_opset,
            integer=TENSORRT,
        )

    @classmethod
    def unavailable(cls) -> str | None:
        """Say how to get the runtime with TensorRT when it is not there."""
        return missing(PROVIDER)

    def provider_settings(self) -> tuple[str, dict[str, str]]:
        """Return the provider and its options, written as the runtime reads them."""
        settings = {
            "device_id": str(self.device),
            "trt_fp16_enable": str(self.half),
            "trt_int8_enable": "True",
            "trt_engine_cache_enable": str(self.cache is not None),
        }
        if self.cache is not None:
            settings["trt_engine_cache_path"] = str(self.cache)
        return PROVIDER, settings

    def faster(self) -> Mapping[str, Tensorrt]:
        """Return the target with layers in float in half precision."""
        return {} if self.half else {"float16": dataclasses.replace(self, half=True)}

    def others(self) -> tuple[tuple[str, dict[str, str]], ...]:
        """Return CUDA, for the nodes that TensorRT does not take."""
        return ((_NEXT, {"device_id": str(self.device)}),)

    def open(self, model: ir.Model | Path) -> OrtSession:
        """Compile a model, after CUDA's libraries from their Python wheels where those are used."""
        preload(PROVIDER)
        return super().open(model)
