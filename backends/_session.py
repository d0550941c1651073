"""A session of ONNX Runtime that speaks numpy, bfloat16 and float8 included."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from onnxopt.backends._install import one_line, runtime_errors
from onnxopt.backends._trace import read_trace
from onnxopt.errors import BackendError, ModelError, OnnxoptError
from onnxopt.target import Feeds, ModelRun, Outputs, Placement, Session

if TYPE_CHECKING:
    import onnxruntime as ort

    from onnxopt.backends._cudart import Clock

_UNKNOWN_TO_NUMPY = {
    "tensor(bfloat16)": ir.DataType.BFLOAT16,
    "tensor(float8e4m3fn)": ir.DataType.FLOAT8E4M3FN,
    "tensor(float8e4m3fnuz)": ir.DataType.FLOAT8E4M3FNUZ,
    "tensor(float8e5m2)": ir.DataType.FLOAT8E5M2,
    "tensor(float8e5m2fnuz)": ir.DataType.FLOAT8E5M2FNUZ,
}
"""The types whose numpy form ONNX Runtime cannot take; their bits go in and out instead."""


_NO_CLOCK = contextlib.nullcontext()


class OrtSession(Session):
    """A loaded model; keeps the weights alive that the runtime reads in place."""

    records = False
    """Whether the runtime's profiler is on."""

    def __init__(
        self,
        session: ort.InferenceSession,
        provider: str,
        weights: Sequence[ort.OrtValue],
        *,
        clock: Clock | None = None,
    ) -> None:
        self._session: ort.InferenceSession | None = session
        self._clock = clock
        self._provider = provider
        self._weights = weights
        self._inputs = [value.name for value in session.get_inputs()]
        optional = [value.name for value in session.get_overridable_initializers()]
        self._known = frozenset((*self._inputs, *optional))
        self._outputs = {value.name: value.type for value in session.get_outputs()}
        kinds = [value.type for value in [*session.get_inputs(), *session.get_outputs()]]
        self._by_bits = any(kind in _UNKNOWN_TO_NUMPY for kind in kinds)

    @property
    def raw(self) -> ort.InferenceSession:
        """The runtime's own session."""
        if self._session is None:
            raise BackendError("the session is closed: open the model again")
        return self._session

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        """Run once; sequences come back as lists and maps as dictionaries.

        Raises ModelError when the feeds do not fit the inputs, BackendError when a kernel fails.
        """
        names = list(self._outputs) if outputs is None else list(outputs)
        session = self.raw
        self._check(feeds, names)
        try:
            with self._clock or _NO_CLOCK:
                values = (
                    self._by_bits_run(names, feeds) if self._by_bits else session.run(names, feeds)
                )
        except runtime_errors() as error:
            raise _failed(error) from error
        return dict(zip(names, values, strict=True))

    def prepared(self, feeds: Feeds) -> Callable[[], object]:
        """Return the runtime's own run where nothing has to be read or converted beside it."""
        if self._clock is not None or self._by_bits:
            return super().prepared(feeds)
        run, names = self.raw.run, list(self._outputs)
        self._check(feeds, names)

        def once() -> object:
            try:
                return run(names, feeds)
            except runtime_errors() as error:
                raise _failed(error) from error

        return once

    def device_seconds(self) -> float | None:
        """Return how long the last run took by the device's clock; None where it has none."""
        return None if self._clock is None else self._clock.seconds()

    def _check(self, feeds: Feeds, names: Sequence[str]) -> None:
        if self._known.issuperset(feeds) and self._outputs.keys() >= set(names):
            return  # small models run in less time than a closer look takes
        strange = next((name for name in feeds if name not in self._known), None)
        if strange is not None:
            raise ModelError(
                f"the model has no input '{strange}': its inputs are {', '.join(self._inputs)}"
            )
        absent = next((name for name in names if name not in self._outputs), None)
        if absent is not None:
            raise ModelError(
                f"the model has no output '{absent}': its outputs are {', '.join(self._outputs)}"
            )

    def _by_bits_run(self, names: list[str], feeds: Feeds) -> list[np.ndarray]:
        results = self.raw.run_with_ort_values(names, to_ort_values(feeds))
        return [from_ort_value(result) for result in results]

    def fallbacks(self) -> Sequence[Placement]:
        """Return the nodes that run elsewhere than asked, after the runtime's optimization.

        Raises BackendError when the runtime is too old to tell.
        """
        if not hasattr(self.raw, "get_provider_graph_assignment_info"):
            raise BackendError(
                "this onnxruntime does not say where nodes run: upgrade it to 1.24 or later"
            )
        return [
            Placement(node=node.name, op_type=node.op_type, provider=part.ep_name)
            for part in self.raw.get_provider_graph_assignment_info()
            if part.ep_name != self._provider
            for node in part.get_nodes()
        ]

    def recorded(self) -> Iterator[ModelRun]:
        """End the runtime's profiling, read its file as a stream and remove it."""
        if not self.records:
            return super().recorded()
        self.records = False
        path = Path(self.raw.end_profiling())
        return _consumed(path)

    def close(self) -> None:
        """Free the session, its threads and its weights."""
        self._session = None
        self._weights = ()
        if self._clock is not None:
            self._clock.close()
            self._clock = None


def _consumed(path: Path) -> Iterator[ModelRun]:
    with path.open(encoding="utf-8", errors="replace") as file:
        yield from read_trace(file)
    path.unlink()


def _failed(error: Exception) -> OnnxoptError:
    at_fault = isinstance(error, ValueError) or type(error).__name__ == "InvalidArgument"
    kind = ModelError if at_fault else BackendError
    return kind(f"the model does not run on these inputs: {one_line(error)}")


def to_ort_values(feeds: Feeds) -> Mapping[str, ort.OrtValue]:
    """Wrap arrays without copying them."""
    import onnxruntime as ort

    values: dict[str, ort.OrtValue] = {}
    for name, array in feeds.items():
        dense = np.ascontiguousarray(array)
        if dense.dtype.isbuiltin == 1:
            values[name] = ort.OrtValue.ortvalue_from_numpy(dense)
            continue
        bits = dense.view(f"u{dense.dtype.itemsize}")
        kind = ir.DataType.from_numpy(dense.dtype).value
        values[name] = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, kind)
    return values


def from_ort_value(value: ort.OrtValue) -> np.ndarray:
    """Return a result as numpy, also where the runtime has no numpy type for it."""
    kind = _UNKNOWN_TO_NUMPY.get(value.data_type())
    if kind is None:
        array: np.ndarray = value.numpy()
        return array
    buffer = (ctypes.c_char * value.tensor_size_in_bytes()).from_address(value.data_ptr())
    return np.frombuffer(bytes(buffer), dtype=kind.numpy()).reshape(value.shape())
