"""What may be asked of a pruning, by name."""

from __future__ import annotations

from typing import Literal

Importance = Literal["reconstruction", "l1", "l2", "median", "scale", "activations", "random"]
"""What goes first. ``reconstruction``: what the readers' outputs lose least by after the best
compensation; ``l1`` and ``l2``: small weights make it; ``median``: others can stand for it;
``scale``: normalisations scale it down; ``activations``: little is read of it; ``random``."""

Ratios = Literal["outputs", "layers", "importance", "uniform"]
"""How much of each group goes: where the model's outputs lose least, where the layers that read the
channels lose least, what matters least of all groups together, or the same share everywhere."""

Recover = Literal["refit", "bias", "none"]
"""Refit the weights and biases that are left, correct biases only, or leave them."""

Measure = Literal["macs", "params", "bytes"]
"""Amounts that can be counted: multiply-adds, parameters, bytes of weights."""
