"""Fixtures of the harness's tests."""

from __future__ import annotations

import pytest

from tests.cli.command import command

onnxopt = pytest.fixture(command, name="onnxopt")
