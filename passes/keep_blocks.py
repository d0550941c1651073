"""What lets activations stay in the blocks of channels in which convolutions work."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.passes.simplify import _parts
from onnxopt.rewrite import Attr, Builder, Decline, Op, PatternOps, Rest, Rule, Var

_ACTIVATIONS = frozenset(
    ("Clip", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Relu", "Sigmoid", "Tanh")
)
"""What ONNX Runtime computes in blocks of channels; Elu, PRelu and Softplus are not among it."""

_GATES = frozenset(("HardSigmoid", "Sigmoid"))

Extents = tuple[int | str | None, ...]


class ChannelScale(Rule):
    """``y * s`` becomes ``y * Resize(s)``, y being ``[n, c, h, w]`` and s ``[n, c, 1, 1]``.

    ONNX Runtime lays the activations of convolutions out in blocks of channels, and multiplies in
    that layout only what has one shape. So where a network weighs its channels (squeeze and
    excitation), y and s are brought back to rows, and the product to blocks again, all of which
    takes longer than writing every s h times w times. Resize repeats it to the bit, in blocks.

    For float32, where a convolution makes both y and s, with nothing but activations that know
    blocks in between, and only such and convolutions read the product.
    """

    since = 13

    def pattern(self, op: PatternOps, y: Var, s: Var) -> Op:
        return op.Mul(y, s)

    def rewrite(self, op: Builder, y: ir.Value, s: ir.Value, root: ir.Node) -> ir.Value:
        block = op.context.target.channel_block
        if not block:
            raise Decline("the target has no blocks")
        if (graph.dims(y) or ())[2:] == (1, 1):
            y, s = s, y
        height, width = _plane(y, s)
        if not (_in_blocks(y, block) and _in_blocks(s, block)):
            raise Decline("not made by convolutions")
        if not all(_reads_blocks(use.node) for use in root.outputs[0].uses()):
            raise Decline("read by something else than convolutions")
        scales = np.array([1, 1, height, width], np.float32)
        spread = op.Resize(
            *(s, None, scales),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        spread.shape = y.shape
        return op.Mul(y, spread)


class PlaneMean(Rule):
    """``ReduceMean(y)`` over a plane, the last two of four axes, becomes ``GlobalAveragePool(y)``.

    Of the two, only the pooling is computed in blocks; under the same conditions.
    """

    def pattern(self, op: PatternOps, y: Var, rest: Rest) -> Op:
        return op.ReduceMean(y, rest, keepdims=Attr("keepdims", 1))

    def rewrite(self, op: Builder, y: ir.Value, keepdims: int, root: ir.Node) -> ir.Value:
        block = op.context.target.channel_block
        if not block or not keepdims or y.dtype != ir.DataType.FLOAT:
            raise Decline("no blocks, or no pooling in them")
        if graph.rank(y) != 4 or sorted(_parts.axes(root, 1, 4) or ()) != [2, 3]:
            raise Decline("not over a plane")
        if not _in_blocks(y, block):
            raise Decline("not made by convolutions")
        if not all(_reads_blocks(use.node) for use in root.outputs[0].uses()):
            raise Decline("read by something else than convolutions")
        return op.GlobalAveragePool(y)


def _plane(y: ir.Value, s: ir.Value) -> tuple[int, int]:
    """Return the height and width over which s is to be spread."""
    whole, scale = graph.dims(y), graph.dims(s)
    if whole is None or scale is None or len(whole) != 4 or y.dtype != ir.DataType.FLOAT:
        raise Decline("not activations of float32 in two dimensions")
    height, width = whole[2:]
    if scale[2:] != (1, 1) or scale[:2] != whole[:2] or None in whole[:2]:
        raise Decline("not a scale of each channel")
    if not isinstance(height, int) or not isinstance(width, int) or height * width <= 1:
        raise Decline("no known extents to spread it over")
    return height, width


def _in_blocks(value: ir.Value | None, block: int) -> bool:
    """Return whether a value comes from a convolution by nothing but activations."""
    while value is not None and (node := value.producer()) is not None and not node.domain:
        if node.op_type == "Conv":
            return _blocked(node, block)
        if node.op_type in _ACTIVATIONS:
            value = node.inputs[0]
        elif node.op_type == "Mul":
            value = _gated(*node.inputs)
        else:
            return False
    return False


def _gated(one: ir.Value | None, other: ir.Value | None) -> ir.Value | None:
    """Return x of ``x * Sigmoid(x)``, which becomes one operator."""
    for x, gate in ((one, other), (other, one)):
        node = None if gate is None else gate.producer()
        if node is not None and node.op_type in _GATES and node.inputs[0] is x:
            return x
    return None


def _blocked(conv: ir.Node, block: int) -> bool:
    """Return whether a convolution's output is in blocks, as a fact of its constant filter."""
    weight = graph.tensor(conv.inputs[1])
    if weight is None or len(weight.shape) != 4 or weight.dtype != ir.DataType.FLOAT:
        return False
    outputs, inputs = weight.shape.numpy()[:2]
    groups = graph.attr_int(conv, "group", 1)
    if groups == 1 or (groups == outputs and inputs == 1):
        return outputs % block == 0
    return outputs // groups % block == 0 and inputs % block == 0


def _reads_blocks(node: ir.Node) -> bool:
    return not node.domain and node.op_type in {"Conv", *_ACTIVATIONS}
