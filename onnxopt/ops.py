"""Facts about operators, as rows: what the engine may know without naming an operator."""

from __future__ import annotations

import onnx_ir as ir

COMMUTATIVE = frozenset(
    ("", name)
    for name in (
        "Add",
        "And",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
        "Equal",
        "Max",
        "Min",
        "Mul",
        "Or",
        "Sum",
        "Xor",
    )
)
"""Operators whose two operands may be exchanged."""

FLOATS = frozenset((ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16))
"""Types in which constants may be merged: numpy computes in them, or in a wider one."""

BROADCAST = (
    "Add",
    "And",
    "BitShift",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "Pow",
    "Sub",
    "Sum",
    "Where",
    "Xor",
)
"""Operators that broadcast all their inputs."""

COPIES = frozenset((("", "Identity"),))
"""Operators whose output is their input."""

VIEWS = COPIES | frozenset(
    ("", name) for name in ("BitCast", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze")
)
"""Operators whose first output may be the same bytes as their first input."""

OVERWRITERS = COMMUTATIVE | frozenset(("", name) for name in ("Div", "Mod", "PRelu", "Pow", "Sub"))
"""Operators, ``ELEMENTWISE`` apart, that may write their output over an input of its size."""

RANDOM = frozenset(
    ("", name)
    for name in (
        "Bernoulli",
        "Dropout",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    )
)
"""Operators that draw random numbers, at least in some mode: never folded, never merged."""

SQUASHING = frozenset(("", name) for name in ("LogSoftmax", "Sigmoid", "Softmax"))
"""Operators that turn scores into shares, after which differences of large scores are lost."""

SCALES = {
    ("", "BatchNormalization"): 1,
    ("", "GroupNormalization"): 1,
    ("", "InstanceNormalization"): 1,
    ("", "LayerNormalization"): 1,
    ("", "RMSNormalization"): 1,
}
"""Normalisations, with the place of the input that scales each channel."""

KEPT = frozenset(
    ("", name) for name in ("DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear")
)
"""Operators that stay although their inputs are constant: they say how a weight is stored."""

QUANTIZED = frozenset(
    (
        "ConvInteger",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "DynamicQuantizeMatMul",
        "MatMulBnb4",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "MatMulNBits",
        "QAttention",
        "QGemm",
        "QLinearConv",
        "QLinearMatMul",
        "QuantizeLinear",
    )
)
"""Operators that only a quantized model has, of any domain."""

SIZE_FROM_CONTENTS = frozenset(
    ("", name)
    for name in (
        "AffineGrid",
        "BlackmanWindow",
        "CenterCropPad",
        "Col2Im",
        "ConstantOfShape",
        "ConvTranspose",
        "DFT",
        "Expand",
        "HammingWindow",
        "HannWindow",
        "MaxRoiPool",
        "MaxUnpool",
        "MelWeightMatrix",
        "OneHot",
        "Pad",
        "Range",
        "Resize",
        "RoiAlign",
        "Tile",
        "Upsample",
    )
)
"""Operators whose output can be far larger than their inputs."""

LISTS_INDICES = frozenset((("", "NonZero"),))
"""Operators whose output holds a number for every axis of an element."""

INDEX_TYPES = frozenset((ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL))
"""Types in which shapes, sizes, indices and conditions are computed."""

STANDARD_DOMAINS = frozenset(("", "ai.onnx.ml"))
"""Domains whose operators are pure functions of their inputs and attributes, ``RANDOM`` apart."""

ELEMENTWISE = frozenset(
    (
        "Abs",
        "Acos",
        "Acosh",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "Cast",
        "Ceil",
        "Celu",
        "Clip",
        "Cos",
        "Cosh",
        "Elu",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "IsInf",
        "IsNaN",
        "LeakyRelu",
        "Log",
        "Mish",
        "Neg",
        "Not",
        "Reciprocal",
        "Relu",
        "Round",
        "Selu",
        "Shrink",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Swish",
        "Tan",
        "Tanh",
        "ThresholdedRelu",
    )
)
"""Operators of the default domain that treat each element of their first input alone."""


def key(node: ir.Node) -> tuple[str, str]:
    """Return the operator of a node as (domain, name); ``ai.onnx`` is the empty domain."""
    return node.domain, node.op_type


def label(node: ir.Node) -> str:
    """Return an operator's name, with its domain where that is not ONNX's own."""
    return f"{node.domain}::{node.op_type}" if node.domain else node.op_type


def pure(node: ir.Node) -> bool:
    """Return whether equal inputs give equal outputs and nothing else happens."""
    domain = node.domain
    return domain in STANDARD_DOMAINS and (domain, node.op_type) not in RANDOM


ACTIVATIONS = (
    *("Clip", "Elu", "Erf", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "Relu"),
    *("Selu", "Sigmoid", "Softplus", "Swish", "Tanh"),
)
"""Functions of single elements that stand behind layers."""
