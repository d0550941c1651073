"""Fixtures that more than one room uses."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import pytest

from tests.contract.graphs import graphs


@pytest.fixture(scope="session")
def corpus() -> Mapping[str, onnx.ModelProto]:
    """Return the corpus of small graphs by name, which nobody may change."""
    return graphs()
