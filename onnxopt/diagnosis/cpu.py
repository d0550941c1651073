"""Instruction sets, and what they mean for quantization."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from onnxopt.diagnosis.finding import Finding, Severity
from onnxopt.diagnosis.system import System
from onnxopt.kernels import VNNI

X86 = ("x86_64", "AMD64", "i686")
ARM = ("aarch64", "arm64")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feature:
    """A row: what it means that one of some instruction sets is there, or that none is."""

    name: str
    machines: tuple[str, ...]
    flags: tuple[str, ...]
    """As the system names them; one of them is enough."""
    present: str
    absent: str = ""
    """Empty where it means nothing that it is missing."""
    severity: Severity = "note"
    """Of its absence."""
    remedy: str = ""


FEATURES = (
    Feature(
        name="AVX2",
        machines=X86,
        flags=("avx2", "avx512f"),
        present="float and 8-bit kernels use wide vectors",
        absent="kernels fall back to narrow vectors, for floats and 8-bit integers alike",
        severity="warning",
        remedy="run elsewhere: on a CPU of 2013 or later, or a virtual one that passes AVX2 on",
    ),
    Feature(
        name="VNNI",
        machines=X86,
        flags=VNNI,
        present="products of unsigned activations and signed weights (u8s8) are exact and fast",
        absent="u8s8 products saturate at 16 bits: a quantized model can lose accuracy here that "
        "it keeps on newer CPUs, and gains less speed; schemes of onnxopt do not saturate here, "
        "nor int8-portable anywhere, nor unsigned weights",
        severity="warning",
        remedy="session option session.x64quantprecision=1 (exact, slow) for files made elsewhere",
    ),
    Feature(
        name="AMX",
        machines=X86,
        flags=("amx_int8",),
        present="8-bit matrix products run on matrix units: large ones gain most from quantization",
    ),
    Feature(
        name="NEON",
        machines=ARM,
        flags=("asimd", "neon"),
        present="float and 8-bit kernels use vectors of 128 bits",
        absent="kernels compute one number at a time, for floats and 8-bit integers alike",
        severity="warning",
        remedy="run elsewhere: on a 64-bit ARM CPU",
    ),
    Feature(
        name="dot product",
        machines=ARM,
        flags=("asimddp",),
        present="8-bit products are exact and fast, signed and unsigned",
        absent="8-bit products are exact, but hardly faster than float ones",
        severity="note",
        remedy="onnxopt quantize MODEL -o OUT   # keeps what is faster here, by measurement",
    ),
    Feature(
        name="8-bit matrix product",
        machines=ARM,
        flags=("i8mm",),
        present="8-bit matrix products run on their own instructions",
    ),
)


def check(system: System) -> Iterator[Finding]:
    """Tell what the CPU has for float and integer kernels."""
    host = system.host
    if not host.flags:
        yield Finding(
            topic="CPU",
            severity="note",
            text=f"{host.cpu}: the system does not tell its instruction sets",
        )
        return
    yield Finding(topic="CPU", severity="ok", text=f"{host.cpu}: {' '.join(host.flags)}")
    for feature in FEATURES:
        if system.machine not in feature.machines:
            continue
        if set(feature.flags) & set(host.flags):
            text = f"{feature.name}: {feature.present}"
            yield Finding(topic="CPU", severity="ok", text=text)
        elif feature.absent:
            yield Finding(
                topic="CPU",
                severity=feature.severity,
                text=f"no {feature.name}",
                meaning=feature.absent,
                remedy=feature.remedy,
            )
