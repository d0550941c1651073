"""The near end of a worker process: starts it, asks, and notices when it dies or hangs."""

from __future__ import annotations

import base64
import contextlib
import json
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from onnxopt.errors import BackendError
from onnxopt.target import Backend

_GONE: None = None
_START = """
import sys
sys.path[:] = {path}
from onnxopt._startup import import_onnx_ir
import_onnx_ir()
from {worker} import main
main()
"""


class Process:
    """A worker that is started at once and killed at the end of the ``with`` block.

    ``worker`` is the module whose ``main`` it runs.
    """

    def __init__(self, worker: str = "onnxopt.measure.worker") -> None:
        self._noise = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(
            # with our own path: Python would look in the working directory first
            [sys.executable, "-c", _START.format(worker=worker, path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._noise,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C reaches the one that reports, not the workers
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._asked = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(_GONE)

    def ready(self, timeout_s: float) -> None:
        """Wait until the interpreter is up."""
        self._reply(timeout_s)

    def open(
        self,
        model: Path,
        backend: Backend,
        cpus: Sequence[int],
        timeout_s: float,
        *,
        timed: bool = False,
    ) -> dict[str, Any]:
        """Load a model on these cores; the reply has ``open_s`` and ``fallbacks``.

        ``timed`` reads the device's clock as well, where there is one.
        """
        place = on(backend, cpus)
        return self.ask({"do": "open", "model": str(model), "timed": timed, **place}, timeout_s)

    def feed(self, feeds: Path, timeout_s: float) -> dict[str, Any]:
        """Run once on each of the pickled feeds in a file; the reply has ``first_s``."""
        return self.ask({"do": "feed", "feeds": str(feeds)}, timeout_s)

    def ask(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send a request and wait for its reply.

        Raises BackendError when the worker reports an error, dies, or takes longer than allowed.
        """
        assert self._process.stdin is not None
        self._asked += 1
        try:
            self._process.stdin.write(json.dumps({**request, "number": self._asked}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise BackendError(self._end()) from error
        return self._reply(timeout_s)

    def _reply(self, timeout_s: float) -> dict[str, Any]:
        """Wait for the reply to the last request; those to earlier ones, given up, are dropped."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                line = self._lines.get(timeout=max(end - time.monotonic(), 0.0))
            except queue.Empty as error:
                raise BackendError(f"no answer within {timeout_s:g} s: it hangs") from error
            if line is _GONE:
                raise BackendError(self._end())
            reply: dict[str, Any] = json.loads(line)
            if reply.pop("number") < self._asked:
                continue
            if "error" in reply:
                raise BackendError(reply["error"])
            return reply

    def _end(self) -> str:
        status = self._process.wait()
        self._noise.seek(0)
        last = self._noise.read().decode(errors="replace").strip().splitlines()[-1:]
        said = f": {last[0]}" if last else ""
        if status < 0:
            return f"crashed with {signal.Signals(-status).name}{said}"
        return f"ended with status {status}{said}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        self._noise.close()


def on(backend: Backend, cpus: Sequence[int]) -> dict[str, Any]:
    """Return the part of a request that says where to work."""
    return {"backend": base64.b64encode(pickle.dumps(backend)).decode(), "cpus": list(cpus)}
