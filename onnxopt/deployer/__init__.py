"""From a framework's model to a file that is measured, compared and ready to run."""

from __future__ import annotations

from onnxopt.deployer.report import DeployReport
from onnxopt.deployer.request import Request
from onnxopt.deployer.run import run

__all__ = ["DeployReport", "Request", "run"]
