"""Facts about the operators that runtimes run, as rows."""

from __future__ import annotations

INTEGER_PRODUCTS = frozenset(
    [
        "ConvInteger",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "NhwcConvInteger",
        "QAttention",
        "QGemm",
        "QLinearConv",
        "QLinearMatMul",
        "QMoE",
    ]
)
"""Multiply and accumulate integers."""

INTEGER_OTHERS = frozenset(
    [
        "QEmbedLayerNormalization",
        "QLinearAdd",
        "QLinearAveragePool",
        "QLinearConcat",
        "QLinearGlobalAveragePool",
        "QLinearLeakyRelu",
        "QLinearMul",
        "QLinearReduceMean",
        "QLinearSigmoid",
        "QLinearSoftmax",
        "QLinearWhere",
    ]
)
"""Compute on integers without long products."""

CONVERSIONS = frozenset(("DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"))
"""Go between integers and floating point."""

DEVICE_COPIES = frozenset(("MemcpyFromHost", "MemcpyToHost"))
"""Copy between the memories of two devices; the runtime puts them in."""
