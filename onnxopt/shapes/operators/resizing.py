"""Operators that enlarge, shrink, pad or crop axes."""

from __future__ import annotations

import math

import numpy as np

from onnxopt.shapes import extent
from onnxopt.shapes.call import Call, Row, normalize
from onnxopt.shapes.contents import BINARY
from onnxopt.shapes.dim import Dim
from onnxopt.shapes.extent import Dims, Extent
from onnxopt.shapes.fact import Content, Contradiction, Fact, Item
from onnxopt.shapes.operators.reshaping import as_extents


def scaled(size: Extent, scale: Item) -> Extent:
    """Return ``floor(size * scale)``, in single precision as the runtimes compute it."""
    if size is None or not isinstance(scale, int | float):
        return None
    if float(scale).is_integer():
        return extent.times(size, int(scale))
    if isinstance(size, int):
        return math.floor(np.float32(size) * np.float32(scale))
    inverse = 1 / scale if scale else 0.5
    return extent.over(size, int(inverse)) if inverse.is_integer() else None


def _resize(call: Call) -> Fact:
    """Sizes where they are given, else scales, for all axes or those of ``axes``."""
    shape, dtype = call.shape(0), call.dtype(0)
    old = call.version < 11
    scales = call.content(1 if old else 2)
    sizes = None if old else call.content(3)
    if shape is None:
        count = len(sizes or scales or ())
        return Fact(dtype, (None,) * count if count and not call.ints("axes") else None)
    given = call.ints("axes")
    axes = (
        tuple(range(len(shape)))
        if given is None
        else tuple(normalize(axis, len(shape)) for axis in given)
    )
    result = list(shape)
    wanted = sizes or scales
    if not wanted:
        call.stop("the size it is given is computed from data")
        return Fact(
            dtype, tuple(None if axis in axes else shape[axis] for axis in range(len(shape)))
        )
    if len(wanted) != len(axes):
        raise Contradiction(f"it is given {len(wanted)} sizes for {len(axes)} axes")
    if sizes:
        _to_sizes(
            result, axes, as_extents(sizes), call.string("keep_aspect_ratio_policy", "stretch")
        )
    else:
        crop = call.string("coordinate_transformation_mode", "") == "tf_crop_and_resize"
        roi = call.content(1) if crop else None
        _to_scales(result, axes, wanted, roi if crop else ())
    return Fact(dtype, tuple(result))


def _to_scales(
    result: list[Extent], axes: tuple[int, ...], scales: Content, roi: Content | None
) -> None:
    """Scale each axis to ``floor(size * scale)``, or ``floor(size (end - start) scale)``."""
    for place, axis in enumerate(axes):
        scale = scales[place]
        if roi is None:
            result[axis] = None
            continue
        if roi:
            scale = BINARY["Mul"](scale, BINARY["Sub"](roi[place + len(axes)], roi[place]))
        result[axis] = scaled(result[axis], scale)


def _to_sizes(result: list[Extent], axes: tuple[int, ...], sizes: Dims, policy: str) -> None:
    if policy == "stretch":
        for axis, size in zip(axes, sizes, strict=True):
            result[axis] = size
        return
    ratios = []
    for axis, size in zip(axes, sizes, strict=True):
        own = result[axis]
        if isinstance(own, int) and isinstance(size, int) and own:
            ratios.append(size / own)
    complete = len(ratios) == len(axes)
    ratio = (min if policy == "not_larger" else max)(ratios) if complete else 0.0
    for axis in axes:
        own = result[axis]
        result[axis] = math.floor(ratio * own + 0.5) if complete and isinstance(own, int) else None


def _upsample(call: Call) -> Fact:
    """Resize's forerunner: scales only, an attribute before opset 9."""
    shape = call.shape(0)
    scales = call.floats("scales") or call.content(1)
    if shape is None or not scales:
        return Fact(call.dtype(0), None if shape is None else (None,) * len(shape))
    if len(scales) != len(shape):
        raise Contradiction(f"it has {len(scales)} scales for {len(shape)} axes")
    return Fact(call.dtype(0), tuple(map(scaled, shape, scales)))


def _pad(call: Call) -> Fact:
    """Add so many elements before and after each axis; negative counts crop."""
    shape = call.shape(0)
    if shape is None:
        return Fact(call.dtype(0))
    given: Content | None = call.ints("pads") or call.ints("paddings") or call.content(1)
    axes = tuple(range(len(shape)))
    if call.has(3):
        chosen = call.axes(len(shape), 3)
        if chosen is None:
            given = None
        else:
            axes = chosen
    if given is None:
        call.stop("how much it pads is computed from data")
        return Fact(call.dtype(0), (None,) * len(shape))
    if len(given) != 2 * len(axes):
        raise Contradiction(f"it has {len(given)} pads for {len(axes)} axes")
    pads = as_extents(given)
    result = list(shape)
    for place, axis in enumerate(axes):
        added = extent.plus(pads[place], pads[place + len(axes)])
        result[axis] = extent.plus(result[axis], added)
        if result[axis] is None:
            call.stop(f"how much it pads axis {axis} is computed from data")
    return Fact(call.dtype(0), tuple(result))


def _center_crop_pad(call: Call) -> Fact:
    """Give the axes given the sizes given."""
    shape, sizes = call.shape(0), call.content(1)
    if shape is None:
        return Fact(call.dtype(0))
    axes = call.axes(len(shape), 9) or tuple(range(len(shape)))
    result = list(shape)
    for place, axis in enumerate(axes):
        item = sizes[place] if sizes and place < len(sizes) else None
        result[axis] = item if isinstance(item, int | Dim) else None
    return Fact(call.dtype(0), tuple(result))


ROWS: dict[str, Row] = {
    "Resize": _resize,
    "Upsample": _upsample,
    "Pad": _pad,
    "CenterCropPad": _center_crop_pad,
}
