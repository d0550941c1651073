"""One variant in a process of its own: opens a model, warms it up and times blocks on request.

Requests and replies are lines of JSON on standard input and output. A reply comes only once the
process is idle, so that whoever waits for it may start another process's turn.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import os
import pickle
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from onnxopt.errors import BackendError, OnnxoptError
from onnxopt.measure.intervals import steady
from onnxopt.target import Backend, Feeds, Session

WINDOW_S = 0.03
TOLERANCE = 0.02
_LEAST_WINDOWS = 4
_TASKS = Path("/proc/self/task")
_POLL_S = 0.002
_TICKS_S = 0.04
"""Two ticks of the slowest clocks at least, of 100 Hz and of 64 Hz."""
_IDLE_SHARE = 0.1
_LEAD_IN_S = 0.005


class Worker:
    """The open session and the feeds it goes round in."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._calls: list[Callable[[], object]] = []
        self._next = 0

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a request says and return its reply."""
        if request["do"] == "open":
            return self._open(request)
        if request["do"] == "feed":
            return self._feed(Path(request["feeds"]))
        if request["do"] == "warm":
            return self._warm(float(request["limit_s"]), int(request.get("streams", 1)))
        return self._measured(int(request["runs"]), int(request["streams"]))

    def backend(self, request: dict[str, Any]) -> Backend:
        """Go to the cores that a request names and return the target in it.

        Raises BackendError where that cannot be used here.
        """
        if request["cpus"] and sys.platform == "linux":
            os.sched_setaffinity(0, request["cpus"])
        # written by the process that started this one
        backend: Backend = pickle.loads(base64.b64decode(request["backend"]))
        why = type(backend).unavailable()  # imports the runtime, which is not the session's cost
        if why is not None:
            raise BackendError(why)
        return backend

    def _open(self, request: dict[str, Any]) -> dict[str, Any]:
        backend = self.backend(request)
        if request["timed"]:
            backend = backend.timed()
        start = time.perf_counter()
        self._session = backend.open(Path(request["model"]))
        opened = time.perf_counter() - start
        places: set[str] = set()
        with contextlib.suppress(OnnxoptError):
            places = {place.provider for place in self._session.fallbacks()}
        return {"open_s": opened, "fallbacks": sorted(places)}

    def _feed(self, path: Path) -> dict[str, Any]:
        assert self._session is not None
        feeds: list[Feeds] = pickle.loads(path.read_bytes())
        self._calls = [self._session.prepared(entry) for entry in feeds]
        first = self._run()
        for _ in feeds[1:]:
            self._run()
        return {"first_s": first}

    def _warm(self, limit_s: float, streams: int) -> dict[str, Any]:
        """Run until the median of a window stays, or the time is up, but four windows at least.

        Slow models would never be seen to be steady within the time. Where several callers will
        run side by side, they do so here too: what each of them needs is there then.
        """
        windows: list[float] = []
        end = time.perf_counter() + limit_s
        while not steady(windows, TOLERANCE) and (
            len(windows) < _LEAST_WINDOWS or time.perf_counter() < end
        ):
            times: list[float] = []
            stop = time.perf_counter() + WINDOW_S
            while not times or time.perf_counter() < stop:
                count = len(self._calls)
                times += self._block(count, []) if streams == 1 else self._streams(count, streams)
            windows.append(statistics.median(times))
        return {"run_s": windows[-1], "steady": steady(windows, TOLERANCE)}

    def _measured(self, runs: int, streams: int) -> dict[str, Any]:
        """Time a number of runs, after a few that bring caches and threads back."""
        stop = time.perf_counter() + _LEAD_IN_S
        while time.perf_counter() < stop:
            self._run()
        start = time.perf_counter()
        device: list[float] = []
        times = self._block(runs, device) if streams == 1 else self._streams(runs, streams)
        span = time.perf_counter() - start
        return {
            "times": times,
            "span_s": span,
            "device": device,
            "peak_bytes": peak_bytes(),
        }

    def _block(self, runs: int, device: list[float]) -> list[float]:
        assert self._session is not None
        times = []
        for _ in range(runs):
            times.append(self._run())
            spent = self._session.device_seconds()
            if spent is not None:
                device.append(spent)
        return times

    def _streams(self, runs: int, streams: int) -> list[float]:
        """Let callers run side by side, each so many times; return the times of all."""
        times: list[list[float]] = [[] for _ in range(streams)]
        failures: list[OnnxoptError] = []
        gate = threading.Barrier(streams)

        def call(own: list[float]) -> None:
            gate.wait()
            try:
                for _ in range(runs):
                    own.append(self._run())
            except OnnxoptError as error:
                failures.append(error)

        callers = [threading.Thread(target=call, args=(own,)) for own in times]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        if failures:
            raise failures[0]
        return [time for own in times for time in own]

    def _run(self) -> float:
        call = self._calls[self._next % len(self._calls)]
        self._next += 1
        start = time.perf_counter_ns()
        call()
        return (time.perf_counter_ns() - start) / 1e9


def settle(limit_s: float = 2.0) -> bool:
    """Wait until no thread of this process is busy: pools spin on for a while after a run.

    Returns whether that came about.
    """
    end = time.perf_counter() + limit_s
    while time.perf_counter() < end:
        if _idle():
            return True
        time.sleep(_POLL_S)
    return False


def _idle() -> bool:
    """Return whether no other thread of this process runs.

    Linux and Windows add up the time of a thread on another CPU only when the clock ticks. So where
    the system tells the states of threads, these are looked at, and the time over ticks elsewhere.
    """
    if (states := thread_states()) is not None:
        if b"R" in states:
            return False
        time.sleep(_POLL_S)
        return b"R" not in (thread_states() or ())
    wall, spent = time.perf_counter(), time.process_time()
    time.sleep(_POLL_S if sys.platform == "darwin" else _TICKS_S)
    return time.process_time() - spent < _IDLE_SHARE * (time.perf_counter() - wall)


def thread_states() -> set[bytes] | None:
    """Return the states of the other threads, R for one that runs; None where nothing tells."""
    found = set()
    own = str(threading.get_native_id())
    try:
        tasks = [task for task in _TASKS.iterdir() if task.name != own]
    except OSError:
        return None
    for task in tasks:
        with contextlib.suppress(OSError):  # it may end meanwhile
            found.add((task / "stat").read_bytes().rpartition(b")")[2].split()[0])
    return found


def peak_bytes() -> int:
    """Return the most memory this process has held; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def serve(requests: TextIO, replies: TextIO, worker: Worker) -> None:
    """Answer requests until their stream ends."""
    gc.disable()
    spent = time.process_time()
    for request in _requests(requests):
        try:
            reply = worker.answer(request)
        except OnnxoptError as error:
            reply = {"error": str(error)}
        gc.collect()
        reply["idle"] = settle()
        before, spent = spent, time.process_time()
        reply["cpu_s"] = spent - before
        reply["number"] = request["number"]
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _requests(stream: TextIO) -> Iterator[dict[str, Any]]:
    for line in stream:
        request: dict[str, Any] = json.loads(line)
        yield request


def main() -> None:
    """Serve with a worker that times blocks of runs."""
    work(Worker())


def work(worker: Worker) -> None:
    """Serve on standard input and output; what a runtime prints goes to standard error."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    own.write(json.dumps({"ready": True, "number": 0}) + "\n")
    own.flush()
    serve(sys.stdin, own, worker)
