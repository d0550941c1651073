"""A turn ends when the process is idle, whatever its threads do behind a run."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import pytest

from onnxopt.backends.cpu import Cpu
from onnxopt.host import allowed_cpus
from onnxopt.measure import worker
from onnxopt.measure.worker import peak_bytes, settle, thread_states
from tests.passes import weights

LARGE = "(float[64,512] x) => (float[64,512] y) { y = MatMul (x, w) }"

needs_states = pytest.mark.skipif(
    thread_states() is None or len(allowed_cpus()) < 2,
    reason="needs two CPUs and a system that tells the states of threads",
)


class Busy(threading.Thread):
    """Computes for some 0.2 s without the interpreter's lock."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.computes, self.ended = threading.Event(), threading.Event()

    def run(self) -> None:
        self.computes.set()
        hashlib.pbkdf2_hmac("sha256", b"", b"", 400_000)
        self.ended.set()


def waited_for() -> bool:
    """Say whether a busy thread has ended when the process is called idle."""
    thread = Busy()
    thread.start()
    thread.computes.wait()
    return settle(limit_s=30.0) and thread.ended.is_set()


def test_this_process_settles_and_knows_its_size() -> None:
    assert settle(limit_s=30.0)
    assert peak_bytes() >= 0


@needs_states
def test_a_busy_thread_is_waited_for() -> None:
    assert all(waited_for() for _ in range(5))


def test_a_busy_thread_is_waited_for_by_the_time_it_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(worker, "_TASKS", tmp_path / "none")
    assert thread_states() is None
    assert waited_for()


@needs_states
def test_a_pool_that_spins_is_waited_for() -> None:
    model = weights.model(LARGE, {"w": weights.normal(512, 512)})
    feeds = {"x": weights.normal(64, 512)}
    with Cpu(threads=2).open(model) as session:
        for _ in range(20):
            session.run(feeds)
        assert b"R" in (thread_states() or ())  # behind its work, the pool spins
        assert settle()
        spent = time.process_time()
        time.sleep(0.05)
        assert time.process_time() - spent < 0.02
