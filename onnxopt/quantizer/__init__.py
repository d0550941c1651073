"""Quantize a model: prepared, guarded without labels, chosen by measurement."""

from __future__ import annotations

from onnxopt.quantizer.judge import Budget, budget_of
from onnxopt.quantizer.report import QuantizeReport
from onnxopt.quantizer.run import Request, run

__all__ = ["Budget", "QuantizeReport", "Request", "budget_of", "run"]
