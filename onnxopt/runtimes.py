"""Which release of ONNX Runtime opens which model."""

from __future__ import annotations

_SETS = {
    **{20: (1, 17), 21: (1, 18), 22: (1, 21), 23: (1, 23)},
    **{24: (1, 24), 25: (1, 24), 26: (1, 25), 27: (1, 32)},
}
"""The first release that opens a model of an operator set, found by opening one in each release
(``benchmarks/releases.py``). 1.22 has a set 23, calls it unfinished, and refuses."""
_FORMATS = {10: (1, 18), 11: (1, 23), 12: (1, 24), 13: (1, 24), 14: (1, 32)}
"""The same of versions of the format; releases that have set 20 open the older ones."""


def opened_since(opset: int, ir_version: int) -> str:
    """Return the first release that opens such a model; empty where that is not known."""
    oldest = _SETS[min(_SETS)]
    known = [_SETS.get(opset), _FORMATS.get(ir_version, oldest if ir_version < 10 else None)]
    found = [each for each in known if each is not None]
    return ".".join(map(str, max(found))) if len(found) == len(known) else ""
