"""Models of one node, and what it costs."""

from __future__ import annotations

from onnxopt.costs import Costs, NodeCost
from tests.shapes.models import parse


def cost(inputs: str, call: str, sizes: dict[str, int] | None = None) -> NodeCost:
    """Return the cost of the last node of some calls, which compute ``y``."""
    return Costs.of(parse(f"g ({inputs}) => (float y) {{ {call} }}"), sizes).rows[-1]
