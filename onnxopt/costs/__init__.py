"""What a model computes and moves: multiply-accumulates, operations and bytes, node by node."""

from __future__ import annotations

from onnxopt.costs.count import Costs, NodeCost
from onnxopt.costs.place import Place, Row, Traffic, Work
from onnxopt.costs.table import TABLE
from onnxopt.costs.traffic import TRAFFIC

__all__ = ["TABLE", "TRAFFIC", "Costs", "NodeCost", "Place", "Row", "Traffic", "Work"]
