"""A session whose inputs and outputs keep their buffers on a device."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from onnxopt.backends._install import one_line, runtime_errors
from onnxopt.backends._session import OrtSession, from_ort_value
from onnxopt.errors import BackendError
from onnxopt.target import Feeds, Outputs

if TYPE_CHECKING:
    import onnxruntime as ort

    from onnxopt.backends._cudart import Clock

_GRAPH, _NO_CAPTURE = "gpu_graph_id", -1


class BoundSession(OrtSession):
    """Copies feeds into fixed buffers, runs, and copies the results back.

    With ``fixed_outputs`` the first run of a set of shapes lets the runtime allocate the outputs
    and later runs write into the same memory, which a captured CUDA graph needs. A graph holds
    addresses, so that new shapes, which get new buffers, are recorded as another graph.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        provider: str,
        weights: Sequence[ort.OrtValue],
        *,
        device: tuple[str, int],
        fixed_outputs: bool,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(session, provider, weights, clock=clock)
        self._device = device
        self._fixed_outputs = fixed_outputs
        self._shapes: object = None
        self._binding: ort.IOBinding | None = None
        self._buffers: dict[str, ort.OrtValue] = {}
        self._graph = 0
        self._options: ort.RunOptions | None = None

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        """Run once on the device; the results come back as arrays of their own."""
        names = list(self._outputs) if outputs is None else list(outputs)
        self._check(feeds, names)
        if self._by_bits or any(not kind.startswith("tensor(") for kind in self._outputs.values()):
            if self._fixed_outputs:
                raise BackendError(
                    "a CUDA graph needs inputs and outputs that are tensors of types numpy has: "
                    "leave cuda-graph out for this model"
                )
            return super().run(feeds, outputs)
        shapes = {name: (array.shape, array.dtype) for name, array in feeds.items()}
        try:
            if shapes != self._shapes:
                self._binding = self._bind(feeds)
                self._shapes = shapes
            results = self._replay(feeds, self._binding)
        except runtime_errors() as error:
            self._shapes = None
            message = f"the model does not run with bound buffers: {one_line(error)}"
            raise BackendError(message) from error
        return {name: results[name] for name in names}

    def prepared(self, feeds: Feeds) -> Callable[[], object]:
        """Return a whole run: what goes to the device and back is part of it."""
        return functools.partial(self.run, feeds)

    def _bind(self, feeds: Feeds) -> ort.IOBinding:
        import onnxruntime as ort

        self._graph += 1
        self._options = _recorded_as(self._graph)
        binding = self.raw.io_binding()
        self._buffers = {
            name: ort.OrtValue.ortvalue_from_numpy(
                np.ascontiguousarray(array).copy(), *self._device
            )
            for name, array in feeds.items()
        }
        for name, buffer in self._buffers.items():
            binding.bind_ortvalue_input(name, buffer)
        for name in self._outputs:
            binding.bind_output(name, *self._device)
        if not self._fixed_outputs:
            return binding
        self.raw.run_with_iobinding(binding, _recorded_as(_NO_CAPTURE))
        for name, value in zip(self._outputs, binding.get_outputs(), strict=True):
            binding.bind_ortvalue_output(name, value)
        return binding

    def _replay(self, feeds: Feeds, binding: ort.IOBinding) -> Outputs:
        for name, array in feeds.items():
            self._buffers[name].update_inplace(np.ascontiguousarray(array))
        with self._clock or contextlib.nullcontext():
            self.raw.run_with_iobinding(binding, self._options)
        values = binding.get_outputs()
        return {
            name: from_ort_value(value).copy()
            for name, value in zip(self._outputs, values, strict=True)
        }

    def close(self) -> None:
        """Free the buffers, then the session."""
        self._binding = None
        self._buffers = {}
        super().close()


def _recorded_as(graph: int) -> ort.RunOptions:
    """Return the options of a run that records or replays a CUDA graph, or none at all."""
    import onnxruntime as ort

    options = ort.RunOptions()
    options.add_run_config_entry(_GRAPH, str(graph))
    return options
