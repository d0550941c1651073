"""The clock of a CUDA device: events on a stream of our own, through CUDA's runtime library."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

from onnxopt.errors import BackendError

_NON_BLOCKING = 1
_VERSIONS = (13, 12)


class Clock(AbstractContextManager[None], Protocol):
    """Runs during its ``with`` block; one session's, and for one caller at a time."""

    def settings(self) -> Mapping[str, str]:
        """Return the provider's options that the clock needs."""

    def seconds(self) -> float | None:
        """Return how long the device took over the last block; None before the first."""

    def close(self) -> None:
        """Free what the clock holds."""


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return CUDA's runtime library, None where it is not installed.

    Where the runtime has loaded the one from CUDA's Python wheels, its name alone finds it.
    """
    pattern = "cudart64_{}.dll" if sys.platform == "win32" else "libcudart.so.{}"
    for version in _VERSIONS:
        try:
            return ctypes.CDLL(pattern.format(version))
        except OSError:
            continue
    return None


class CudaClock:
    """Two events, before and after a run, on a stream that the provider is told to use.

    The provider waits for its stream at the end of a run. Between the events lies what the device
    does in that time: kernels, copies of what is not bound to the device, and the gaps in which it
    waits for the next launch. Raises BackendError where CUDA refuses.
    """

    def __init__(self, cuda: ctypes.CDLL, device: int) -> None:
        self._cuda = cuda
        self._stopped = False
        self._check("cudaSetDevice", ctypes.c_int(device))
        self._stream, self._first, self._last = (ctypes.c_void_p() for _ in range(3))
        flags = ctypes.c_uint(_NON_BLOCKING)
        self._check("cudaStreamCreateWithFlags", ctypes.byref(self._stream), flags)
        for event in (self._first, self._last):
            self._check("cudaEventCreate", ctypes.byref(event))

    def settings(self) -> Mapping[str, str]:
        """Return the address of the stream, as the provider's option wants it."""
        return {"user_compute_stream": str(self._stream.value or 0)}

    def __enter__(self) -> None:
        """Put the first event on the stream."""
        self._stopped = False
        self._check("cudaEventRecord", self._first, self._stream)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the second event behind what came in between, unless that failed."""
        if kind is None:
            self._check("cudaEventRecord", self._last, self._stream)
            self._stopped = True

    def seconds(self) -> float | None:
        """Wait for the second event; return the time between the two, None after a failure."""
        if not self._stopped:
            return None
        milliseconds = ctypes.c_float()
        self._check("cudaEventSynchronize", self._last)
        self._check("cudaEventElapsedTime", ctypes.byref(milliseconds), self._first, self._last)
        return milliseconds.value / 1e3

    def close(self) -> None:
        """Destroy events and stream."""
        for event in (self._first, self._last):
            self._check("cudaEventDestroy", event)
        self._check("cudaStreamDestroy", self._stream)

    def _check(self, name: str, *arguments: object) -> None:
        status = getattr(self._cuda, name)(*arguments)
        if status:
            text = self._cuda.cudaGetErrorString
            text.restype = ctypes.c_char_p
            said = text(status)
            raise BackendError(f"{name} failed: {said.decode() if said else status}")
