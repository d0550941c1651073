"""Targets that misbehave while they record; workers import them by name."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import onnx_ir as ir

from onnxopt.backends._session import OrtSession
from onnxopt.backends.cpu import Cpu


class Crashing(Cpu):
    """Takes its process down when it opens a model in order to record it."""

    def open(self, model: ir.Model | Path) -> OrtSession:
        if self.record is not None:
            os.kill(os.getpid(), signal.SIGABRT)
        return super().open(model)


class Writeless(Cpu):
    """Cannot write the graph that it runs."""

    def recording(self, folder: Path) -> Writeless:
        return Writeless(record=folder, save_optimized=folder / "no" / "such" / "folder.onnx")
