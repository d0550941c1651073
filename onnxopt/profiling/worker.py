"""The process that records: a session with the runtime's profiler on, whose trace stays here."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onnxopt.errors import BackendError
from onnxopt.measure.worker import Worker, work
from onnxopt.profiling.overhead import charge
from onnxopt.profiling.peaks import measure_peaks
from onnxopt.profiling.tally import tally

_LEAD_IN_S = 0.005


class Recorder(Worker):
    """Beside what every worker does: says which runs counted, and what was recorded of them."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[Sequence[int]] = []

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a request says and return its reply."""
        if request["do"] == "record":
            return self._record(int(request["runs"]))
        if request["do"] == "collect":
            return self._collect()
        if request["do"] == "charge":
            return dataclasses.asdict(charge(self.backend(request), Path(request["folder"])))
        if request["do"] == "peaks":
            folder, charged = Path(request["folder"]), float(request["charged_s"])
            return dataclasses.asdict(measure_peaks(self.backend(request), folder, charged))
        return super().answer(request)

    def _record(self, runs: int) -> dict[str, Any]:
        """Run that many times, after a few runs that bring caches and threads back."""
        stop = time.perf_counter() + _LEAD_IN_S
        while time.perf_counter() < stop:
            self._run()
        first = self._next
        times = [self._run() for _ in range(runs)]
        self._kept.append(range(first, first + runs))
        return {"times": times}

    def _collect(self) -> dict[str, Any]:
        """Read the trace, once; nothing runs after that."""
        if self._session is None:
            raise BackendError("nothing was recorded: no model is open")
        found = tally(self._session.recorded(), self._kept, len(self._calls))
        return {"nodes": [dataclasses.asdict(node) for node in found]}


def main() -> None:
    """Serve with a worker that records."""
    work(Recorder())
