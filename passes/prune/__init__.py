"""Pruning: zeros in weights, whole channels, blocks and outputs that go, each to be asked for."""

TOGETHER = False
"""Its passes do different things, so there is none that runs them all."""
