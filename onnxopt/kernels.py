"""Which operators a target computes on integers, and in which form it wants to find them: rows."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from onnxopt.quantization.types import TypeName

VNNI = ("avx512_vnni", "avx_vnni", "amx_int8")
"""Instruction sets of x86 that add up products of 8-bit integers in 32 bits."""


class Role(enum.Enum):
    """What an operator does with quantized data."""

    PRODUCT = "product"
    """Multiplies by constant weights: what quantization is for."""
    OWN = "own"
    """Computes on integers; input and output each have a scale of their own."""
    SHARED = "shared"
    """Selects elements: what comes out has the scale of what goes in."""
    MOVED = "moved"
    """The same, and written on the integers themselves, because the target would not find it."""
    ABSORBED = "absorbed"
    """Cuts off what the quantization of its input cuts off anyway, once the ranges agree."""
    FUSED = "fused"
    """Computed by the product that makes its input, before anything is rounded: a function of one
    number, or a sum with another value."""


class Requantized(enum.Enum):
    """When the output of a product is quantized, behind what the product takes in."""

    ALWAYS = "always"
    """It must be, or the product computes in floating point."""
    READ = "read"
    """Where integers are computed from it."""
    NEVER = "never"
    """Its readers quantize it for themselves."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kernel:
    """One operator on one target."""

    role: Role
    becomes: frozenset[str] = frozenset()
    """The operators that the target runs in its place, by its own names; where those do not tell
    the types, with the kernel behind a space, as a shell pattern."""
    requantized: Requantized = Requantized.ALWAYS
    joins: frozenset[str] = frozenset()
    """Operators behind it that the target joins with it before it looks for integers, and then
    finds none, unless what they make is quantized."""
    takes_along: frozenset[str] = frozenset()
    """Operators right behind it that the target takes for part of it where one node alone reads
    what they make, and then finds no kernel for both, unless that is quantized."""
    only: tuple[tuple[str, str], ...] = ()
    """Attributes that must have these values, written as text."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class IntegerKernels:
    """The integer kernels of a target, and the types that reach the fast ones."""

    name: str
    rows: Mapping[str, Kernel]
    """By operator of the default domain."""
    activations: TypeName
    weights: TypeName = "int8"
    symmetric: bool = False
    """Activations have their zero point in the centre."""
    saturates: bool = False
    """Products are added two and two in 16 bits, which weights of 8 bits may overflow."""
    dynamic: frozenset[str] = frozenset()
    """Operators that it runs fast with activations quantized anew for every run."""
    float_bias: bool = False
    """Products add biases in floating point, on the way out."""
    told_apart: bool = True
    """What the target records of a run tells which operators each of its nodes was made of."""
    depthwise_alone: bool = False
    """A depthwise convolution gains although what is before or behind it is in float."""

    def in_floats(self) -> IntegerKernels:
        """Return what is left of it for 8-bit floating-point numbers: products, their inputs alone.

        Biases, sums and what lies between products keep their precision.
        """
        products = {
            name: dataclasses.replace(row, requantized=Requantized.NEVER)
            for name, row in self.rows.items()
            if row.role is Role.PRODUCT
        }
        return dataclasses.replace(
            self, rows=products, symmetric=True, saturates=False, float_bias=True
        )
