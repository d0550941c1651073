"""Targets that need no runtime, and misbehave on request; workers import them by name."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx_ir as ir

from onnxopt.errors import BackendError
from onnxopt.target import Backend, Feeds, Outputs, Session, Target

Fault = Literal["none", "refuse", "crash", "hang", "late crash"]


class Fake(Backend):
    """Notes when every run began and ended."""

    fault: Fault = "none"
    log: Path | None = None
    threads: int = 1
    seconds: float = 0.001
    device_seconds: float | None = None
    """What the device's clock tells, once it is read."""
    clocked: bool = False
    buffers: bool = False
    """Serve one caller at a time."""

    @classmethod
    def target(cls) -> Target:
        return Target(name="fake", pipeline="", probe_max_opset=lambda: 20)

    @classmethod
    def unavailable(cls) -> str | None:
        return None

    def timed(self) -> Fake:
        return dataclasses.replace(self, clocked=self.device_seconds is not None)

    def alone(self) -> str | None:
        return "the fake serves one caller at a time" if self.buffers or self.clocked else None

    def open(self, model: ir.Model | Path) -> Session:
        if self.fault == "refuse":
            raise BackendError("the fake refuses 'model'")
        if self.fault == "crash":
            os.kill(os.getpid(), signal.SIGABRT)
        device = self.device_seconds if self.clocked else None
        return FakeSession(self.fault, self.log, self.seconds, device)


class FakeSession(Session):
    def __init__(
        self, fault: Fault, log: Path | None, seconds: float, device_seconds: float | None
    ) -> None:
        self._fault, self._log, self._runs, self._seconds = fault, log, 0, seconds
        self._device_seconds = device_seconds

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        start = time.monotonic()
        time.sleep(self._seconds)
        self._runs += 1
        if self._fault == "hang":
            time.sleep(60)
        if self._fault == "late crash" and self._runs > 30:
            os._exit(7)
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(f"{os.getpid()} {start!r} {time.monotonic()!r}\n")
        return {"y": np.zeros(1)}

    def device_seconds(self) -> float | None:
        return self._device_seconds

    def close(self) -> None:
        pass
