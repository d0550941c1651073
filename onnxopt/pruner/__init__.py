"""Prune a model: prepared, thinned, refitted, verified, measured."""

from __future__ import annotations

from onnxopt.pruner.report import PruneReport
from onnxopt.pruner.run import Goal, Request, run

__all__ = ["Goal", "PruneReport", "Request", "run"]
