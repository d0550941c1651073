"""The clock of a CUDA device, on a runtime library that only writes down what it is asked."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxopt.backends import _cudart, cuda
from onnxopt.backends._bound import BoundSession
from onnxopt.backends._cudart import CudaClock
from onnxopt.backends._session import OrtSession
from onnxopt.backends.cpu import Cpu
from onnxopt.backends.cuda import Cuda
from onnxopt.errors import BackendError
from tests.backends.models import dense_model

HANDLES = {"cudaStreamCreateWithFlags": 70, "cudaEventCreate": 80}
ROWS = np.ones((2, 64), np.float32)


class FakeCuda:
    """A runtime library in which every run takes as long as it is told."""

    def __init__(self, milliseconds: float = 2.5, failing: str = "") -> None:
        self.calls: list[tuple[str, list[Any]]] = []
        self._milliseconds, self._failing, self._made = milliseconds, failing, 0

    def __getattr__(self, name: str) -> Callable[..., object]:
        def call(*arguments: Any) -> object:
            self.calls.append((name, [getattr(value, "value", None) for value in arguments]))
            if name == "cudaGetErrorString":
                return b"out of memory"
            target: Any = getattr(arguments[0], "_obj", None)
            if name in HANDLES:
                target.value, self._made = HANDLES[name] + self._made, self._made + 1
            if name == "cudaEventElapsedTime":
                target.value = self._milliseconds
            return 2 if name == self._failing else 0

        return call

    @property
    def names(self) -> list[str]:
        """The functions called, in order."""
        return [name for name, _ in self.calls]


def clock(library: FakeCuda) -> CudaClock:
    return CudaClock(library, 1)  # type: ignore[arg-type]


def test_a_call_runs_between_two_events_of_one_stream() -> None:
    library = FakeCuda()
    own = clock(library)
    assert own.settings() == {"user_compute_stream": "70"}
    assert own.seconds() is None
    library.calls.clear()
    with own:
        (first,) = library.calls
    last = library.calls[-1]
    assert first == ("cudaEventRecord", [81, 70])
    assert last == ("cudaEventRecord", [82, 70])
    assert own.seconds() == pytest.approx(0.0025)
    assert library.names[2:] == ["cudaEventSynchronize", "cudaEventElapsedTime"]
    own.close()
    assert library.names[-3:] == ["cudaEventDestroy", "cudaEventDestroy", "cudaStreamDestroy"]


def test_a_run_that_fails_has_no_time() -> None:
    own = clock(FakeCuda())
    with own:
        pass
    with pytest.raises(KeyError), own:
        raise KeyError
    assert own.seconds() is None


def test_the_device_is_chosen_first() -> None:
    library = FakeCuda()
    clock(library)
    assert library.calls[0] == ("cudaSetDevice", [1])


def test_a_refusal_is_told() -> None:
    with pytest.raises(BackendError, match="cudaEventCreate failed: out of memory"):
        clock(FakeCuda(failing="cudaEventCreate"))


def test_runs_are_timed_with_buffers_bound_and_not() -> None:
    with Cpu().open(dense_model()) as plain:
        library = FakeCuda()
        free = OrtSession(plain.raw, "CPUExecutionProvider", [], clock=clock(library))
        assert plain.device_seconds() is None
        expected = plain.run({"x": ROWS})["y"]
        np.testing.assert_array_equal(free.run({"x": ROWS})["y"], expected)
        assert free.device_seconds() == pytest.approx(0.0025)
        bound = BoundSession(
            plain.raw,
            "CPUExecutionProvider",
            [],
            device=("cpu", 0),
            fixed_outputs=False,
            clock=clock(library),
        )
        np.testing.assert_array_equal(bound.run({"x": ROWS})["y"], expected)
        assert bound.device_seconds() == pytest.approx(0.0025)
        free.close()
        assert library.names[-1] == "cudaStreamDestroy"


def test_the_stream_reaches_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeCuda()
    monkeypatch.setattr(cuda, "library", lambda: library)
    monkeypatch.setattr(cuda, "missing", lambda provider: None)
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda: None)
    timed = Cuda(device=1).timed()
    assert timed.device_time
    made = timed.clock()
    assert made is not None
    assert int(made.settings()["user_compute_stream"]) == 70
    assert Cuda().clock() is None


def test_the_clock_is_freed_when_the_session_does_not_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = FakeCuda()
    monkeypatch.setattr(Cpu, "clock", lambda self: clock(library))
    with pytest.raises(BackendError, match="refuses 'absent"):
        Cpu().open(Path("absent.onnx"))
    assert library.names[-1] == "cudaStreamDestroy"


def test_without_the_library_the_device_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "library", lambda: None)
    assert not Cuda().timed().device_time
    with pytest.raises(BackendError, match="libcudart"):
        Cuda(device_time=True).clock()


def test_the_real_library_refuses_in_words() -> None:
    real = _cudart.library()
    if real is None:
        pytest.skip("CUDA's runtime library is not installed")
    if real.cudaGetDeviceCount(ctypes.byref(ctypes.c_int())) == 0:
        own = CudaClock(real, 0)
        with own:
            pass
        assert 0 <= (own.seconds() or 0.0) < 1
        own.close()
        return
    with pytest.raises(BackendError, match=r"cudaSetDevice failed: [A-Za-z]{3}"):
        CudaClock(real, 0)


def test_the_library_is_looked_for_by_its_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(name: str) -> str:
        asked.append(name)
        if "12" not in name:
            raise OSError(name)
        return name

    monkeypatch.setattr(ctypes, "CDLL", load)
    _cudart.library.cache_clear()
    found = _cudart.library()
    _cudart.library.cache_clear()
    assert "12" in str(found)
    assert len(asked) == 2
