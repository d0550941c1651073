"""What a model is, stores, computes and moves, without running it."""

from __future__ import annotations

from onnxopt.inspection.coverage import Coverage, Covered
from onnxopt.inspection.interface import OpenExtent, Origin, Port
from onnxopt.inspection.kernels import Foretold
from onnxopt.inspection.layers import Layer, OperatorTotal
from onnxopt.inspection.memory import Memory
from onnxopt.inspection.model import Inspection, inspect
from onnxopt.inspection.weights import Stored, Tensor, Weights

__all__ = [
    "Coverage",
    "Covered",
    "Foretold",
    "Inspection",
    "Layer",
    "Memory",
    "OpenExtent",
    "OperatorTotal",
    "Origin",
    "Port",
    "Stored",
    "Tensor",
    "Weights",
    "inspect",
]
