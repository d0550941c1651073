"""OpenVINO's own runtime."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import tempfile
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import onnx_ir as ir

from onnxopt.backends._integer import openvino_of_this_machine
from onnxopt.backends._pipelines import LOSSLESS
from onnxopt.backends._weights import whole
from onnxopt.errors import BackendError, ModelError
from onnxopt.target import Backend, Feeds, ModelRun, NodeRun, Outputs, Session, Target

if TYPE_CHECKING:
    import openvino as ov


NEWEST_OPSET = 24
"""OpenVINO takes any version and refuses single operators; this one's are there since 2026.0."""
_INLINE_UP_TO = 1_500_000_000
_NOISE = ("Exception from", "Check '", "FrontEnd API failed", "Summary:", "To facilitate")


class Openvino(Backend):
    """OpenVINO, on an Intel CPU unless told otherwise."""

    device: str = "CPU"
    """As OpenVINO names it: ``CPU``, ``GPU``, ``GPU.1``, ``NPU``."""
    threads: int = 0
    """Threads of a run; 0 is one per physical core."""
    precision: Literal["f32", "bf16", "f16"] = "f32"
    """What float operators compute in. OpenVINO left to itself takes bf16 where the CPU has it."""
    pinning: bool = False
    """Tie threads to cores; a tied thread waits when other work has its core."""
    record: bool = False
    """Record what every node of every run takes."""

    @classmethod
    def target(cls) -> Target:
        """Return the facts."""
        return Target(
            name="openvino",
            pipeline=LOSSLESS,
            probe_max_opset=lambda: NEWEST_OPSET,
            integer=openvino_of_this_machine(),
        )

    @classmethod
    def unavailable(cls) -> str | None:
        """Say how to get the runtime when it is not there."""
        if importlib.util.find_spec("openvino") is None:
            return "openvino is not installed: pip install openvino"
        return None

    def open(self, model: ir.Model | Path) -> OpenvinoSession:
        """Compile a model.

        Raises BackendError when OpenVINO or the device is missing or refuses the model.
        """
        why = self.unavailable()
        if why is not None:
            raise BackendError(why)
        import openvino as ov

        core = ov.Core()
        devices = core.available_devices
        if self.device.partition(".")[0] not in {name.partition(".")[0] for name in devices}:
            raise BackendError(
                f"openvino sees no device '{self.device}': it has {', '.join(devices)}; "
                "install the device's driver"
            )
        try:
            with _source(model) as source:
                network = core.read_model(source)
                compiled = core.compile_model(network, self.device, self._settings())
        except (OSError, RuntimeError) as error:
            what = model.graph.name if isinstance(model, ir.Model) else model
            raise BackendError(f"openvino refuses '{what}': {_one_line(error)}") from error
        return OpenvinoSession(compiled, records=self.record)

    def faster(self) -> Mapping[str, Openvino]:
        """Return OpenVINO with the half precisions that the device has."""
        if self.precision != "f32" or self.unavailable() is not None:
            return {}
        import openvino as ov

        has = ov.Core().get_property(self.device, "OPTIMIZATION_CAPABILITIES")
        half: tuple[Literal["bf16", "f16"], ...] = ("bf16", "f16")
        names = {"bf16": "BF16", "f16": "FP16"}
        return {
            name: dataclasses.replace(self, precision=name) for name in half if names[name] in has
        }

    def recording(self, folder: Path) -> Self:
        """Return this target with OpenVINO's counters on; it writes no graph."""
        return dataclasses.replace(self, record=True)

    def _settings(self) -> dict[str, str]:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": self.precision,
            "PERF_COUNT": "YES" if self.record else "NO",
        }
        if self.device.startswith("CPU"):
            settings["ENABLE_CPU_PINNING"] = "YES" if self.pinning else "NO"
            if self.precision == "f32":
                settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = "0"
            if self.threads:
                settings["INFERENCE_NUM_THREADS"] = str(self.threads)
        return settings


class OpenvinoSession(Session):
    """A compiled model with one request."""

    def __init__(self, compiled: ov.CompiledModel, *, records: bool = False) -> None:
        self._runs: list[ModelRun] | None = [] if records else None
        self._request: ov.InferRequest | None = compiled.create_infer_request()
        self._inputs = {port.any_name: index for index, port in enumerate(compiled.inputs)}
        self._outputs = {port.any_name: index for index, port in enumerate(compiled.outputs)}

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        """Run once; inputs that the compiled model has no use for are ignored.

        Raises ModelError when the feeds do not fit the inputs, BackendError when the run fails.
        """
        if self._request is None:
            raise BackendError("the session is closed: open the model again")
        absent = next((name for name in self._inputs if name not in feeds), None)
        if absent is not None:
            raise ModelError(f"input '{absent}' is missing: give an array for it")
        wanted = {index: feeds[name] for name, index in self._inputs.items()}
        start = time.perf_counter()
        try:
            self._request.infer(wanted)
        except RuntimeError as error:
            raise BackendError(f"openvino cannot run these inputs: {_one_line(error)}") from error
        if self._runs is not None:
            self._runs.append(_model_run(self._request, time.perf_counter() - start))
        names = list(self._outputs) if outputs is None else outputs
        return {name: self._output(name) for name in names}

    def _output(self, name: str) -> np.ndarray:
        if self._request is None or name not in self._outputs:
            known = ", ".join(self._outputs)
            raise ModelError(f"the model has no output '{name}': its outputs are {known}")
        array: np.ndarray = self._request.get_output_tensor(self._outputs[name]).data
        return array.copy()

    def recorded(self) -> Iterator[ModelRun]:
        """Return the runs so far; a node's provider is the kernel, ``jit_avx2_FP32``."""
        if self._runs is None:
            return super().recorded()
        runs, self._runs = self._runs, None
        return iter(runs)

    def close(self) -> None:
        """Free the compiled model."""
        self._request = None


def _model_run(request: ov.InferRequest, seconds: float) -> ModelRun:
    nodes = [
        NodeRun(
            node=counter.node_name,
            op_type=counter.node_type,
            provider=counter.exec_type,
            index=index,
            seconds=counter.real_time.total_seconds(),
        )
        for index, counter in enumerate(request.profiling_info)
        if counter.status.name == "EXECUTED"
    ]
    return ModelRun(seconds=seconds, executor_seconds=seconds, nodes=nodes)


@contextlib.contextmanager
def _source(model: ir.Model | Path) -> Iterator[str | bytes]:
    """Give a model as OpenVINO reads it; one that no protobuf can hold lies in a folder meanwhile.

    OpenVINO has no way to take weights beside the protobuf from memory.
    """
    if not isinstance(model, ir.Model):
        yield str(model)
        return
    weights = [value.const_value for value in model.graph.initializers.values()]
    if sum(tensor.nbytes for tensor in weights if tensor is not None) <= _INLINE_UP_TO:
        yield whole(model)
        return
    with tempfile.TemporaryDirectory(prefix="onnxopt-") as folder:
        path = Path(folder) / "model.onnx"
        ir.save(model, path, external_data="model.data")
        yield str(path)


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith(_NOISE)]
    return textwrap.shorten(" ".join(telling), 400, placeholder=" …")
