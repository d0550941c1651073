"""Convolutions, pools and samplers. A tap that falls on padding counts like any other."""

from __future__ import annotations

from onnxopt.costs.place import Place, Row, Work, elements, extent_at
from onnxopt.shapes.extent import Dims, Extent, plus, product, times


def _taps(weight: Dims | None) -> Extent:
    """Return how many products one output takes, of weights ``[m, c / group, kernel]``."""
    return None if weight is None else product(weight[1:])


def _conv(place: Place) -> Work:
    """``c / group`` times the kernel for each output; a bias adds once to each."""
    return Work(times(place.made(), _taps(place.shape(1))), place.made() if place.has(2) else 0)


def _conv_integer(place: Place) -> Work:
    """As Conv, on integers."""
    return Work(times(place.made(), _taps(place.shape(1))))


def _qlinear_conv(place: Place) -> Work:
    """As Conv, on integers; each output is biased, scaled, rounded and clipped."""
    ops = times(place.made(), 4 if place.has(8) else 3)
    return Work(times(place.made(), _taps(place.shape(3))), ops)


def _fused_conv(place: Place) -> Work:
    """As Conv, then an activation and a sum where there are any: one operation each."""
    each = place.has(2) + place.has(3) + bool(place.string("activation", ""))
    return Work(times(place.made(), _taps(place.shape(1))), times(place.made(), each))


def _conv_transpose(place: Place) -> Work:
    """Weights ``[c, m / group, kernel]``: each input is spread over ``m / group`` kernels."""
    macs = times(place.size(0), _taps(place.shape(1)))
    return Work(macs, place.made() if place.has(2) else 0)


def _deform_conv(place: Place) -> Work:
    """As Conv; each tap of each channel is interpolated first: 4 products, 3 sums, 4 weights."""
    x, w, out = place.shape(0), place.shape(1), place.out()
    if x is None or w is None or out is None:
        return Work(None, None)
    samples = product((x[0], x[1], *out[2:], *w[2:]))
    bias = place.made() if place.has(3) else 0
    return Work(times(place.made(), _taps(w)), plus(times(samples, 11), bias))


def _causal_conv(place: Place) -> Work:
    """One kernel of each channel's own along the last axis."""
    macs = times(place.made(), extent_at(place.shape(1), -1))
    each = place.has(2) + 5 * (place.string("activation", "none") != "none")
    return Work(macs, times(place.made(), each))


def _window(place: Place) -> Extent:
    kernel = place.ints("kernel_shape")
    return None if kernel is None else product(kernel)


def _max_pool(place: Place) -> Work:
    """As many comparisons as the window has places."""
    return Work(0, times(place.made(), _window(place)))


def _average_pool(place: Place) -> Work:
    """As many additions as the window has places, and a division."""
    return Work(0, times(place.made(), plus(_window(place), 1)))


def _lp_pool(place: Place) -> Work:
    """A power and an addition for each place, and a root."""
    return Work(0, times(place.made(), plus(times(_window(place), 2), 1)))


def _resize(place: Place) -> Work:
    """1, 2 or 4 taps along each axis that changes: a product and a sum for each; nearest: none."""
    taps = {"linear": 2, "cubic": 4}.get(place.string("mode", "nearest"))
    before, after = place.shape(0), place.out()
    if taps is None:
        return Work()
    if before is None or after is None or len(before) != len(after):
        return Work(0, None)
    changed = sum(a != b for a, b in zip(before, after, strict=True))
    return Work(0, times(place.made(), 2 * taps**changed))


def _grid_sample(place: Place) -> Work:
    """1, 2 or 4 taps along each axis of the grid: a product and a sum for each; nearest: none."""
    mode = place.string("mode", "linear")
    taps = 4 if "cubic" in mode else 2 if "linear" in mode else 0
    axes = extent_at(place.shape(1), -1)
    if taps == 0 or not isinstance(axes, int):
        return Work(0, 0 if taps == 0 else None)
    return Work(0, times(place.made(), 2 * taps ** min(axes, 8)))


def _roi_align(place: Place) -> Work:
    """``sampling_ratio`` squared samples an output, each interpolated from four: 11, and a sum."""
    ratio = place.integer("sampling_ratio", 0)
    if ratio <= 0:
        place.stop("how many samples a region takes depends on its size")
        return Work(0, None)
    return Work(0, times(place.made(), 12 * ratio * ratio))


def _affine_grid(place: Place) -> Work:
    """A row of the matrix by the coordinates of each place."""
    return Work(times(place.made(), extent_at(place.shape(0), -1)))


def _col2im(place: Place) -> Work:
    """An addition for each element of each block."""
    return Work(0, elements(place.shape(0)))


ROWS: dict[str, Row] = {
    "Conv": _conv,
    "ConvInteger": _conv_integer,
    "QLinearConv": _qlinear_conv,
    "ConvTranspose": _conv_transpose,
    "DeformConv": _deform_conv,
    "CausalConvWithState": _causal_conv,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "LpPool": _lp_pool,
    "Resize": _resize,
    "Upsample": _resize,
    "GridSample": _grid_sample,
    "RoiAlign": _roi_align,
    "AffineGrid": _affine_grid,
    "Col2Im": _col2im,
}

MICROSOFT: dict[str, Row] = {"FusedConv": _fused_conv, "NhwcMaxPool": _max_pool}
