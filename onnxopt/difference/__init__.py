"""What is different between two graphs, told so that a person can read it."""

from __future__ import annotations

from onnxopt.difference.changes import Change
from onnxopt.difference.hunks import ChangedNode, Hunk, NodeText
from onnxopt.difference.match import Match, match
from onnxopt.difference.models import difference
from onnxopt.difference.report import Difference
from onnxopt.difference.weights import WeightChange, weight_change

__all__ = [
    "Change",
    "ChangedNode",
    "Difference",
    "Hunk",
    "Match",
    "NodeText",
    "WeightChange",
    "difference",
    "match",
    "weight_change",
]
