"""Which release of ONNX Runtime opens which operator set."""

from __future__ import annotations

_OPENS = {20: "1.17", 21: "1.18", 22: "1.21", 23: "1.23", 24: "1.24", 25: "1.24"}
"""The first release that opens a model of an operator set, found by opening one in each release.
1.22 has a set 23, calls it unfinished, and refuses."""


def opened_since(opset: int) -> str:
    """Return the first release that opens a model of this operator set; empty where not known."""
    return _OPENS.get(opset, "")
