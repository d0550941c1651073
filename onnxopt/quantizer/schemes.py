"""Schemes of quantization: names for pipelines, as rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from onnxopt import catalogue
from onnxopt.base import Pass
from onnxopt.errors import UsageError
from onnxopt.pipeline import Pipeline, Step
from onnxopt.quantization.types import FLOAT8E4M3, SINCE_AXIS, TYPES, QuantType, since
from onnxopt.quantizer.patterns import selective
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
    """What integers would need to round as finely: less than it has for a floating-point type."""
    about: str
    once: tuple[str, ...] = ("",)
    """Passes that run before, and once only, however often ``pipeline`` is tried; of several
    alternatives the one that keeps the outputs best, the first unless another is clearly better."""
    then: tuple[str, ...] = ()
    """Passes behind those, each run only where it keeps the outputs clearly better."""

    @property
    def integer(self) -> bool:
        """Whether it asks the target what it computes on integers."""
        return any(f"quantize/{name}" in self.pipeline for name in ("static", "dynamic"))

    @property
    def calibrates(self) -> bool:
        """Whether a pass runs the model on samples: to find ranges, to round, or what overflows."""
        texts = [text for text in (*self.once, self.pipeline) if text]
        steps = [step for text in texts for step in Pipeline.parse(text).steps]
        return any(isinstance(step, Pass) and step.needs_samples for step in steps)


_RANGES = tuple(
    f"quantize/calibrate{{method={method}}}" for method in ("mse", "percentile", "minmax")
)

SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme(
            name="int8",
            once=_RANGES,
            then=("quantize/correct-bias",),
            pipeline="quantize/static",
            opset=13,
            bits=8,
            about="weights and activations on integers, with scales from samples",
        ),
        Scheme(
            name="int8-portable",
            once=_RANGES,
            then=("quantize/correct-bias{portable=true}",),
            pipeline="quantize/static{portable=true}",
            opset=13,
            bits=7,
            about="int8 with weights so coarse that no processor saturates",
        ),
        Scheme(
            name="int8-ort",
            once=("quantize/calibrate{method=mse}",),
            then=("quantize/correct-bias",),
            pipeline="quantize/static, quantize/bias-inside",
            opset=13,
            bits=8,
            about="int8 with the biases of products inside, in ONNX Runtime's own operator",
        ),
        Scheme(
            name="int8-dynamic",
            pipeline="quantize/dynamic",
            opset=13,
            bits=8,
            about="matrix products on integers, with scales found in every run",
        ),
        Scheme(
            name="int8-dynamic-portable",
            pipeline="quantize/dynamic{portable=true}",
            opset=13,
            bits=7,
            about="int8-dynamic with weights so coarse that no processor saturates",
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
            name="int4-nbits",
            pipeline="quantize/nbits",
            opset=13,
            bits=4,
            about="weights in 4 bits, one scale for 128, in ONNX Runtime's own operator",
        ),
        Scheme(
            name="int2-weights",
            pipeline="quantize/weights{type=uint2, block=64, symmetric=false}",
            opset=25,
            bits=2,
            about="weights of matrix products in 2 bits, one scale for 64",
        ),
        Scheme(
            name="binary-weights",
            pipeline="quantize/weights{type=binary}",
            opset=18,
            bits=1,
            about="signs of the weights of matrix products, one scale a channel",
        ),
        Scheme(
            name="float8",
            once=("quantize/calibrate{method=minmax}",),
            pipeline="quantize/static{activations=float8e4m3fn, per-channel=false}",
            opset=19,
            bits=FLOAT8E4M3.precision,
            about="weights and inputs of products as 8-bit floating-point numbers, with scales "
            "from samples",
        ),
        Scheme(
            name="float8-weights",
            pipeline="quantize/weights{type=float8e4m3fn}",
            opset=19,
            bits=7,
            about="weights of matrix products as 8-bit floating-point numbers, one scale a channel",
        ),
        Scheme(
            name="float4-weights",
            pipeline="quantize/weights{type=float4e2m1, block=16}",
            opset=23,
            bits=4,
            about="weights of matrix products as 4-bit floating-point numbers, one scale for 16",
        ),
        Scheme(
            name="float16",
            pipeline="quantize/half",
            opset=13,
            bits=11,
            about="half precision wherever nothing overflows on samples",
        ),
        Scheme(
            name="bfloat16",
            pipeline="quantize/half{type=bfloat16}",
            opset=22,
            bits=8,
            about="the range of float32 with 8 significant bits",
        ),
    )
}

DYNAMIC = "int8-dynamic"
"""The scheme that needs no ranges."""

STATIC = "int8"
"""The scheme whose layers can be told apart by what the target makes of them."""

CUSTOM = "custom"
"""What a scheme is called that is written as a pipeline."""

CHOSEN_FROM = (STATIC, DYNAMIC, "int8-weights")
"""What is tried where no scheme is asked for."""


def scheme_of(name: str) -> Scheme:
    """Return the scheme of a name, of another package's too, or of a pipeline of passes as text.

    UsageError suggests the nearest or lists them, and has a caret for a pipeline that is none.
    """
    if any(sign in name for sign in "/,{("):
        return _written(Pipeline.parse(name))
    if name in SCHEMES:
        return SCHEMES[name]
    others = catalogue.extensions("schemes")
    if name not in others:
        known = (*SCHEMES, *others)
        hint = nearest(name, known) or f"; there are: {', '.join(known)}"
        raise UsageError(f"unknown scheme '{name}'{hint}, or a pipeline of passes")
    found = catalogue.extension("schemes", name)
    if not isinstance(found, Scheme) or found.name != name:
        raise UsageError(f"scheme '{name}': {found} is no Scheme of that name")
    return found


def _written(pipeline: Pipeline) -> Scheme:
    """Return the scheme that a pipeline is.

    What comes before the first pass that can be told what to leave out runs once only.
    """
    steps = list(pipeline.steps)
    at = next((at for at, step in enumerate(steps) if selective(step)), None)
    if at is None:
        raise UsageError(
            f"'{pipeline}' is no scheme: it quantizes nothing; "
            "quantize/static, quantize/dynamic or quantize/weights do"
        )
    asked = [found for step in steps for found in _types(step)]
    return Scheme(
        name=CUSTOM,
        once=(str(Pipeline(tuple(steps[:at]))) if at else "",),
        pipeline=str(Pipeline(tuple(steps[at:]))),
        opset=max([SINCE_AXIS, *(since(kind, block) for kind, block in asked)]),
        bits=min([8, *(kind.precision for kind, _ in asked), *_bits(steps)]),
        about="as written",
    )


def _bits(steps: Sequence[Step]) -> Iterator[int]:
    """Yield the bits that passes are told to round to; 0 leaves it to them.

    Where no two weights are to overflow, at least 7 are left.
    """
    for step in steps:
        if isinstance(step, Pass) and step.quantizes and getattr(step, "portable", False):
            yield 7
        for name in ("bits", "weight_bits"):
            found = getattr(step, name, 0) if isinstance(step, Pass) and step.quantizes else 0
            if found:
                yield found


def _types(step: Step) -> Iterator[tuple[QuantType, int]]:
    """Yield the types that a pass may store, each with the weights that share a scale."""
    for name in ("type", "activations", "weights"):
        value = getattr(step, name, "")
        if value in TYPES:
            yield TYPES[value], getattr(step, "block", 0)
