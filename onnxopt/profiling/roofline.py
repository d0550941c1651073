"""How long a node would take at the machine's measured peaks, and what keeps it from being faster.

S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for
multicore architectures", CACM 52(4), 2009.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from onnxopt.profiling.kernels import INTEGER_PRODUCTS
from onnxopt.profiling.peaks import Peaks
from onnxopt.profiling.tally import NodeTally

Bound = Literal["compute", "memory", "overhead"]

RESOLUTION_S = 1e-6
"""Time below which the work of a node is lost in the call: the runtime's clock counts in it."""

_TYPES: Mapping[str, str] = {
    "float": "float32",
    "f32": "float32",
    "float16": "float16",
    "bfloat16": "bfloat16",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Roof:
    """A node under the roof."""

    kind: str
    """The type whose peak it is held against."""
    attainable_s: float
    """What its MACs take at the peak or its bytes at the bandwidth, whichever is longer."""
    bound: Bound


def roof(node: NodeTally, macs: float, moved: float, peaks: Peaks, call_s: float) -> Roof | None:
    """Place a node; None for a type whose peak is not known.

    ``macs`` and ``moved``, in bytes, are of one run of the model, in which the node is executed
    ``node.count`` times; ``call_s`` is what the runtime takes for a node with no work. What takes
    less than that, or than the clock can tell, is overhead.
    """
    kind = kind_of(node)
    if macs and kind not in peaks.macs:
        return None
    compute = macs / peaks.macs[kind] if macs else 0.0
    memory = moved / peaks.bandwidth(moved / max(node.count, 1.0))
    attainable = max(compute, memory)
    if attainable < max(call_s, RESOLUTION_S) * node.count:
        return Roof(kind=kind, attainable_s=attainable, bound="overhead")
    bound: Bound = "compute" if compute >= memory else "memory"
    return Roof(kind=kind, attainable_s=attainable, bound=bound)


def kind_of(node: NodeTally) -> str:
    """Return the type in which a node multiplies: that of its first input with a known peak."""
    if node.op_type in INTEGER_PRODUCTS:
        return "int8"
    found = (_TYPES[tensor.dtype] for tensor in node.inputs if tensor.dtype in _TYPES)
    return next(found, "float32")
