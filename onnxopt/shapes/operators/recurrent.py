"""RNN, GRU and LSTM."""

from __future__ import annotations

from collections.abc import Sequence

from onnxopt.shapes.call import Call, Row
from onnxopt.shapes.extent import Extent, over
from onnxopt.shapes.fact import Fact


def _recurrent(call: Call) -> Sequence[Fact]:
    """All hidden states ``[time, directions, batch, hidden]``, then the last one (and cell).

    With ``layout=1``: ``[batch, time, directions, hidden]`` and ``[batch, directions, hidden]``.
    """
    x, w = call.shape_of_rank(0, 3), call.shape_of_rank(1, 3)
    r = call.shape_of_rank(2, 3)
    time, batch = (None, None) if x is None else x[:2]
    batch_first = bool(call.integer("layout", 0))
    if batch_first:
        time, batch = batch, time
    directions: Extent = 2 if call.string("direction", "forward") == "bidirectional" else 1
    hidden: Extent = call.integer("hidden_size", 0) or (None if r is None else r[2])
    if hidden is None and w is not None:
        gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[call.node.op_type]
        hidden = over(w[1], gates)
    dtype = call.dtype(0)
    if batch_first:
        last = Fact(dtype, (batch, directions, hidden))
        return [Fact(dtype, (batch, time, directions, hidden)), last, last]
    last = Fact(dtype, (directions, batch, hidden))
    return [Fact(dtype, (time, directions, batch, hidden)), last, last]


ROWS: dict[str, Row] = dict.fromkeys(("RNN", "GRU", "LSTM"), _recurrent)
