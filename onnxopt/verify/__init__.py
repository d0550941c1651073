"""Run a pipeline so that what it hands back computes what the original computes."""

from __future__ import annotations

from onnxopt.verify.bisect import Quarantined
from onnxopt.verify.front import Check, Mode, Outcome, Work, run_verified
from onnxopt.verify.numbers import Comparison, Mismatch, Tolerance, compare
from onnxopt.verify.structure import Honest, Verify, checked, problems, signature

__all__ = [
    "Check",
    "Comparison",
    "Honest",
    "Mismatch",
    "Mode",
    "Outcome",
    "Quarantined",
    "Tolerance",
    "Verify",
    "Work",
    "checked",
    "compare",
    "problems",
    "run_verified",
    "signature",
]
