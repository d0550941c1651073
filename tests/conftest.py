"""Fixtures that more than one room uses."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import pytest
from hypothesis import HealthCheck, settings

from tests.contract.graphs import graphs

settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def corpus() -> Mapping[str, onnx.ModelProto]:
    """Return the corpus of small graphs by name, which nobody may change."""
    return graphs()
