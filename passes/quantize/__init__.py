"""Quantization to QDQ: calibration, placement and recovery, each a pass to be asked for."""

TOGETHER = False
"""Its passes do different things, so there is none that runs them all."""
