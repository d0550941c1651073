"""Convolutions and pools: operators that slide a window."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnxopt.shapes import extent
from onnxopt.shapes.call import Call, Row
from onnxopt.shapes.extent import Dims, Extent
from onnxopt.shapes.fact import Contradiction, Fact


def _per_axis(call: Call, name: str, count: int, default: int) -> tuple[int, ...]:
    given = call.ints(name)
    if given is None:
        return (default,) * count
    if len(given) != count:
        raise Contradiction(f"its {name} have {len(given)} entries where {count} are needed")
    return given


def _slid(call: Call, sizes: Dims, kernel: Dims, ceil: bool) -> Dims:
    """Count the windows: ``floor((size + pads - dilated kernel) / stride) + 1`` on each axis."""
    count = len(sizes)
    strides = _per_axis(call, "strides", count, 1)
    dilations = _per_axis(call, "dilations", count, 1)
    auto = call.string("auto_pad", "NOTSET")
    pads = _per_axis(call, "pads", 2 * count, 0)
    result: list[Extent] = []
    for axis, size in enumerate(sizes):
        stride = strides[axis]
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            result.append(extent.over_up(size, stride))
            continue
        reach = extent.plus(extent.times(extent.minus(kernel[axis], 1), dilations[axis]), 1)
        before, after = (0, 0) if auto == "VALID" else (pads[axis], pads[axis + count])
        room = extent.minus(extent.plus(size, before + after), reach)
        steps = extent.over_up(room, stride) if ceil else extent.over(room, stride)
        fits = extent.plus(steps, 1)
        if ceil:  # no window starts in the padding behind the last element
            fits = extent.smallest(fits, extent.over_up(extent.plus(size, before), stride))
        if isinstance(fits, int) and fits < 1 and size != 0:
            raise Contradiction(f"a window of {reach} is wider than axis {axis + 2} with its pads")
        result.append(fits)
    return tuple(result)


def convolve(call: Call, x: Dims | None, w: Dims | None) -> Dims | None:
    """Slide weights ``[m, c / group, kernel]`` over ``[n, c, sizes]``: ``[n, m, windows]``."""
    rank = len(x) if x is not None else len(w) if w is not None else 0
    if rank < 2:
        return None
    if x is not None and w is not None and len(x) != len(w):
        raise Contradiction(f"its weight has {len(w)} axes for an input of {len(x)}")
    x = x or (None,) * rank
    w = w or (None,) * rank
    channels, group = extent.times(w[1], call.integer("group", 1)), call.integer("group", 1)
    if isinstance(x[1], int) and isinstance(channels, int) and x[1] != channels:
        raise Contradiction(f"{x[1]} channels meet a weight for {channels} ({group} groups)")
    given = call.ints("kernel_shape")
    kernel = w[2:] if given is None else tuple(given)
    if len(kernel) != rank - 2:
        raise Contradiction(f"its kernel has {len(kernel)} axes where {rank - 2} are needed")
    return (x[0], w[0], *_slid(call, x[2:], kernel, ceil=False))


def _conv(call: Call) -> Fact:
    return Fact(call.dtype(0), convolve(call, call.shape(0), call.shape(1)))


def _conv_integer(call: Call) -> Fact:
    return Fact(ir.DataType.INT32, convolve(call, call.shape(0), call.shape(1)))


def _qlinear_conv(call: Call) -> Fact:
    return Fact(call.dtype(7), convolve(call, call.shape(0), call.shape(3)))


def _deform_conv(call: Call) -> Fact:
    return Fact(call.dtype(0), convolve(call, call.shape(0), call.shape(1)))


def _conv_transpose(call: Call) -> Fact:
    """``stride (size - 1) + output_padding + dilated kernel - pads`` along each axis."""
    x, w = call.shape(0), call.shape(1)
    if x is None or w is None or len(x) < 2:
        return Fact(call.dtype(0), None if x is None else (x[0],) + (None,) * (len(x) - 1))
    if len(x) != len(w):
        raise Contradiction(f"its weight has {len(w)} axes for an input of {len(x)}")
    channels = extent.times(w[1], call.integer("group", 1))
    given = call.ints("output_shape")
    if given is not None:
        return Fact(call.dtype(0), (x[0], channels, *given[-(len(x) - 2) :]))
    return Fact(call.dtype(0), (x[0], channels, *_transposed(call, x[2:], w[2:])))


def _transposed(call: Call, sizes: Dims, weight: Dims) -> Dims:
    count = len(sizes)
    strides = _per_axis(call, "strides", count, 1)
    dilations = _per_axis(call, "dilations", count, 1)
    extra = _per_axis(call, "output_padding", count, 0)
    pads = _per_axis(call, "pads", 2 * count, 0)
    kernel = call.ints("kernel_shape") or weight
    auto = call.string("auto_pad", "NOTSET")
    result: list[Extent] = []
    for axis, size in enumerate(sizes):
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            result.append(extent.times(size, strides[axis]))
            continue
        reach = extent.plus(extent.times(extent.minus(kernel[axis], 1), dilations[axis]), 1)
        grown = extent.plus(extent.times(extent.minus(size, 1), strides[axis]), reach)
        taken = 0 if auto == "VALID" else pads[axis] + pads[axis + count]
        result.append(extent.plus(grown, extra[axis] - taken))
    return tuple(result)


def _pool(call: Call) -> Sequence[Fact]:
    """Windows along all axes but the first two; the second output has the same shape."""
    x = call.shape(0)
    kernel = call.ints("kernel_shape")
    shape: Dims | None = None
    if x is not None and kernel is not None:
        if len(x) != len(kernel) + 2:
            raise Contradiction(f"its kernel has {len(kernel)} axes where {len(x) - 2} are needed")
        shape = x[:2] + _slid(call, x[2:], kernel, ceil=bool(call.integer("ceil_mode", 0)))
    elif kernel is not None:
        shape = (None,) * (len(kernel) + 2)
    return [Fact(call.dtype(0), shape), Fact(ir.DataType.INT64, shape)]


def _global_pool(call: Call) -> Fact:
    """All axes but the first two shrink to 1."""
    x = call.shape(0)
    return Fact(call.dtype(0), None if x is None else x[:2] + (1,) * (len(x) - 2))


def _roi_pool(call: Call) -> Fact:
    """One picture of a fixed size for each region."""
    x, rois = call.shape(0), call.shape(1)
    h, w = call.integer("output_height", 1), call.integer("output_width", 1)
    pooled = call.ints("pooled_shape")
    if pooled is not None:
        h, w = pooled
    return Fact(call.dtype(0), (rois[0] if rois else None, x[1] if x else None, h, w))


def _grid_sample(call: Call) -> Fact:
    """``[n, c, sizes]`` sampled on ``[n, out sizes, dimensions]`` is ``[n, c, out sizes]``."""
    x, grid = call.shape(0), call.shape(1)
    if x is None or grid is None:
        return Fact(call.dtype(0), None if x is None else (*x[:2],) + (None,) * (len(x) - 2))
    return Fact(call.dtype(0), (*x[:2], *grid[1:-1]))


def _short_time_fourier(call: Call) -> Fact:
    """``[n, samples, 1 or 2]`` becomes ``[n, frames, bins, 2]``, half of the bins by default."""
    signal, window = call.shape(0), call.shape(2)
    step, given = call.numbers(1), call.numbers(3)
    width: Extent = given[0] if given else window[0] if window else None
    half = extent.plus(extent.over(width, 2), 1)
    bins = half if call.integer("onesided", 1) else width
    if signal is None or not step or width is None:
        call.stop("the length or the step of its frames is computed from data")
        return Fact(call.dtype(0), (None, None, bins, 2))
    frames = extent.plus(extent.over(extent.minus(signal[1], width), step[0]), 1)
    return Fact(call.dtype(0), (signal[0], frames, bins, 2))


ROWS: dict[str, Row] = {
    "Conv": _conv,
    "ConvInteger": _conv_integer,
    "QLinearConv": _qlinear_conv,
    "DeformConv": _deform_conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "LpPool": _pool,
    "GlobalAveragePool": _global_pool,
    "GlobalLpPool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "RoiAlign": _roi_pool,
    "MaxRoiPool": _roi_pool,
    "STFT": _short_time_fourier,
    "GridSample": _grid_sample,
}
