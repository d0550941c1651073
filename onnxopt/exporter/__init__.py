"""From a model in its framework to an ONNX file that computes the same."""

from __future__ import annotations

from onnxopt.exporter.report import ExportReport
from onnxopt.exporter.run import Request, run

__all__ = ["ExportReport", "Request", "run"]
