"""Schemes of quantization: names for pipelines, as rows."""

from __future__ import annotations

import dataclasses

from onnxopt.errors import UsageError
from onnxopt.spec import nearest


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scheme:
    """A way to quantize."""

    name: str
    pipeline: str
    """Passes on an optimized model that knows its shapes."""
    opset: int
    """The operator set that the result needs."""
    bits: int
    about: str
    once: tuple[str, ...] = ("",)
    """Passes that run before, and once only, however often ``pipeline`` is tried; of several
    alternatives the one that keeps the outputs best, the first unless another is clearly better."""


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme(
            name="int8",
            once=(
                "quantize/calibrate{method=mse}",
                "quantize/calibrate{method=percentile}",
                "quantize/calibrate{method=minmax}",
            ),
            pipeline="quantize/static",
            opset=13,
            bits=8,
            about="weights and activations on integers, with scales from samples",
        ),
        Scheme(
            name="int8-dynamic",
            pipeline="quantize/dynamic",
            opset=13,
            bits=8,
            about="matrix products on integers, with scales found in every run",
        ),
        Scheme(
            name="int8-weights",
            pipeline="quantize/weights",
            opset=13,
            bits=8,
            about="weights of matrix products in 8 bits, one scale a channel",
        ),
        Scheme(
            name="int4-weights",
            pipeline="quantize/weights{type=uint4, block=32, symmetric=false}",
            opset=21,
            bits=4,
            about="weights of matrix products in 4 bits, one scale for 32",
        ),
        Scheme(
            name="int2-weights",
            pipeline="quantize/weights{type=uint2, block=16, symmetric=false}",
            opset=25,
            bits=2,
            about="weights of matrix products in 2 bits, one scale for 16",
        ),
        Scheme(
            name="binary-weights",
            pipeline="quantize/weights{type=binary}",
            opset=18,
            bits=1,
            about="signs of the weights of matrix products, one scale a channel",
        ),
    )
}

STATIC = "int8"
"""The scheme whose layers can be told apart by what the target makes of them."""

CHOSEN_FROM = (STATIC, "int8-dynamic", "int8-weights")
"""What is tried where no scheme is asked for."""


def scheme_of(name: str) -> Scheme:
    """Return the scheme of a name; UsageError suggests the nearest or lists them."""
    if name not in SCHEMES:
        hint = nearest(name, SCHEMES) or f"; there are: {', '.join(SCHEMES)}"
        raise UsageError(f"unknown scheme '{name}'{hint}")
    return SCHEMES[name]
