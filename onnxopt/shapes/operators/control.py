"""If, Loop and Scan: operators with bodies of their own."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnxopt.shapes.call import Call, Row, normalize
from onnxopt.shapes.dim import Dim
from onnxopt.shapes.extent import Extent, largest
from onnxopt.shapes.fact import NOTHING, Contradiction, Fact, join

_BOOL = Fact(ir.DataType.BOOL, ())
_COUNTER = Fact(ir.DataType.INT64, ())


def _if(call: Call) -> Sequence[Fact]:
    """Either branch; the one that is taken where the condition is known."""
    content = call.content(0)
    condition = content[0] if content else None
    then = call.around.body(call.graph("then_branch"), ())
    other = call.around.body(call.graph("else_branch"), ())
    if isinstance(condition, int):
        return then if condition else other
    joined = [join(a, b) for a, b in zip(then, other, strict=True)]
    if any(fact.shape is None or None in fact.shape for fact in joined):
        call.stop("its branches give different shapes")
    return joined


def _settle(
    call: Call, body: ir.Graph, state: list[Fact], slices: list[Fact], lead: list[Fact]
) -> tuple[list[Fact], list[Fact]]:
    """Find facts of the carried values that a turn of the body leaves as they are.

    Returns what holds of them before each turn and after the last, and the body's other outputs.
    """
    skip = 1 if lead else 0  # a Loop's body says first whether to go on
    for widen in (False, False, True):
        outputs = call.around.body(body, [*lead, *state, *slices])
        after = [_plain(fact) for fact in outputs[skip : skip + len(state)]]
        joined = [join(a, b) for a, b in zip(state, after, strict=True)]
        if joined == state:
            return state, outputs[skip + len(state) :]
        state = [fact._replace(shape=None) for fact in joined] if widen else joined
    outputs = call.around.body(body, [*lead, *state, *slices])
    return state, outputs[skip + len(state) :]


def _plain(fact: Fact) -> Fact:
    return fact if fact.content is None else fact._replace(content=None)


def _loop(call: Call) -> Sequence[Fact]:
    """Carried values, then those of each turn laid side by side along a new first axis."""
    body = call.graph("body")
    state = [_plain(call.fact(index)) for index in range(2, len(call.inputs))]
    if len(body.inputs) != len(state) + 2:
        raise Contradiction(f"its body has {len(body.inputs)} inputs for {len(state)} values")
    state, scanned = _settle(call, body, state, [], [_COUNTER, _BOOL])
    count = turns(call, body)
    if scanned and count is None:
        call.stop("how many turns it makes is only known from the data")
    return [*state, *(_stacked(fact, count) for fact in scanned)]


def turns(call: Call, body: ir.Graph) -> Extent:
    """Return how many turns a Loop makes, None where only the data tell."""
    content = call.content(0) if call.has(0) else None
    if content and isinstance(content[0], int | Dim) and _never_breaks(call, body):
        return largest(content[0], 0)
    return None


def _never_breaks(call: Call, body: ir.Graph) -> bool:
    """Return whether the body's condition is always true, and the first one too."""
    first = call.content(1) if call.has(1) else (True,)
    going_on = body.outputs[0]
    if going_on is body.inputs[1]:
        return first is not None and first[0] is True
    content = call.around.content(going_on)
    node = going_on.producer()
    if node is not None and node.op_type == "Identity" and node.inputs[0] is body.inputs[1]:
        return first is not None and first[0] is True
    return bool(first and content and first[0] is True and content[0] is True)


def _stacked(fact: Fact, turns: Extent, axis: int = 0) -> Fact:
    if fact.shape is None or fact.type is not None:
        return Fact(fact.dtype, None)
    place = normalize(axis, len(fact.shape) + 1)
    return Fact(fact.dtype, (*fact.shape[:place], turns, *fact.shape[place:]))


def _scan(call: Call) -> Sequence[Fact]:
    """Slices of the scanned inputs go through the body, one after the other."""
    if call.version < 9:
        call.stop("Scan of opset 8 is not followed")
        return [NOTHING] * len(call.node.outputs)
    body, scanned = call.graph("body"), call.integer("num_scan_inputs", 0)
    carried = len(call.inputs) - scanned
    axes = call.ints("scan_input_axes") or (0,) * scanned
    length = steps(call)
    slices = []
    for place in range(scanned):
        fact = call.fact(carried + place)
        if fact.shape is None:
            slices.append(Fact(fact.dtype))
            continue
        axis = normalize(axes[place], len(fact.shape))
        slices.append(Fact(fact.dtype, fact.shape[:axis] + fact.shape[axis + 1 :]))
    state = [_plain(call.fact(index)) for index in range(carried)]
    state, given = _settle(call, body, state, slices, [])
    out_axes = call.ints("scan_output_axes") or (0,) * len(given)
    stacked = [_stacked(fact, length, axis) for fact, axis in zip(given, out_axes, strict=True)]
    return [*state, *stacked]


def steps(call: Call) -> Extent:
    """Return how many slices a Scan takes, None where nothing tells."""
    scanned = call.integer("num_scan_inputs", 0)
    axes = call.ints("scan_input_axes") or (0,) * scanned
    length: Extent = None
    for axis, index in zip(axes, range(len(call.inputs) - scanned, len(call.inputs)), strict=True):
        shape = call.shape(index)
        if shape is not None:
            size = shape[normalize(axis, len(shape))]
            length = size if length is None or isinstance(size, int) else length
    return length


ROWS: dict[str, Row] = {"If": _if, "Loop": _loop, "Scan": _scan}
