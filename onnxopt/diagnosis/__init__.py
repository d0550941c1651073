"""What is wrong with this installation or this machine, what it means, and what to do about it."""

from __future__ import annotations

from onnxopt.diagnosis import (
    cpu,
    cuda,
    extras,
    limits,
    packages,
    runtime,
    steadiness,
    storage,
    variables,
)
from onnxopt.diagnosis.finding import SEVERITIES, Finding, Severity
from onnxopt.diagnosis.report import Diagnosis
from onnxopt.diagnosis.system import System

__all__ = ["SEVERITIES", "Diagnosis", "Finding", "Severity", "System", "diagnose"]

_CHECKS = (
    packages.check,
    runtime.versions,
    runtime.providers,
    cuda.check,
    extras.check,
    cpu.check,
    limits.check,
    steadiness.check,
    variables.check,
    storage.check,
)


def diagnose(system: System | None = None) -> Diagnosis:
    """Look at an installation and its machine, by default at this one.

    Takes some seconds: every provider is started in a process of its own, which may crash. Nothing
    is changed, and nothing is raised for what is found.
    """
    seen = system or System.here()
    return Diagnosis(findings=tuple(finding for check in _CHECKS for finding in check(seen)))
