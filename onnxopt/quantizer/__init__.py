"""Quantize a model: prepared, guarded without labels, chosen by measurement."""

from __future__ import annotations

from onnxopt.quantizer.judge import Budget, budget_of
from onnxopt.quantizer.report import QuantizeReport
from onnxopt.quantizer.request import Request
from onnxopt.quantizer.run import run
from onnxopt.quantizer.schemes import Scheme

__all__ = ["Budget", "QuantizeReport", "Request", "Scheme", "budget_of", "run"]
