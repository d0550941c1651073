"""Operators that spend a fixed number of operations on each element. None of them counts as MACs.

The number is that of the scalar operations in the definition: a function such as exp, erf, sqrt or
tanh is one, so are a comparison, a rounding and a conversion. A sigmoid, ``1 / (1 + exp(-x))``, is
four. Normalisations and reductions count by the elements of their input.
"""

from __future__ import annotations

from onnxopt.costs.place import Place, Row, Work
from onnxopt.shapes.extent import plus, times


def _each_output(count: int) -> Row:
    def row(place: Place) -> Work:
        return Work(0, times(place.made(), count))

    return row


def _each_input(count: int, closing: int = 0) -> Row:
    """``closing`` more for each output."""

    def row(place: Place) -> Work:
        return Work(0, plus(times(place.size(0), count), times(place.made(), closing)))

    return row


def _variadic(place: Place) -> Work:
    """One fewer than there are operands; one more for a mean's division."""
    count = len(place.inputs) - (place.node.op_type != "Mean")
    return Work(0, times(place.made(), count))


def _lrn(place: Place) -> Work:
    """A square, ``size`` additions, then scale, shift, power and division."""
    return Work(0, times(place.made(), place.integer("size", 1) + 5))


def _counts(text: str) -> dict[str, int]:
    words = text.split()
    return {name: int(count) for name, count in zip(words[::2], words[1::2], strict=True)}


_OUTPUTS = _counts("""
Abs 1 Acos 1 Acosh 1 Add 1 And 1 Asin 1 Asinh 1 Atan 1 Atanh 1 BitShift 1 BitwiseAnd 1 BitwiseNot 1
BitwiseOr 1 BitwiseXor 1 Cast 1 CastLike 1 Ceil 1 Celu 5 Clip 2 Cos 1 Cosh 1 Div 1 Elu 4 Equal 1
Erf 1 Exp 1 Floor 1 Gelu 5 Greater 1 GreaterOrEqual 1 HardSigmoid 4 HardSwish 5 IsInf 1 IsNaN 1
LeakyRelu 2 Less 1 LessOrEqual 1 Log 1 Mish 5 Mod 1 Mul 1 Neg 1 Not 1 Or 1 PRelu 2 Pow 1
Reciprocal 1 Relu 1 Round 1 Selu 5 Shrink 3 Sigmoid 4 Sign 1 Sin 1 Sinh 1 Softplus 3 Softsign 3
Sqrt 1 Sub 1 SwiGLU 6 Swish 5 Tan 1 Tanh 1 ThresholdedRelu 1 Where 1 Xor 1
DequantizeLinear 2 QuantizeLinear 4 RotaryEmbedding 3
""")

_INPUTS = _counts("""
ArgMax 1 ArgMin 1 BatchNormalization 2 CumProd 1 CumSum 1 DynamicQuantizeLinear 6 GlobalMaxPool 1
GroupNormalization 7 Hardmax 2 InstanceNormalization 7 LayerNormalization 7 LogSoftmax 5
LpNormalization 3 MeanVarianceNormalization 5 NegativeLogLikelihoodLoss 1 RMSNormalization 4
ReduceL1 2 ReduceMax 1 ReduceMin 1 ReduceProd 1 ReduceSum 1 ReduceSumSquare 2
SimplifiedLayerNormalization 4 Softmax 5 SoftmaxCrossEntropyLoss 5 TopK 1
""")
"""TopK: as many comparisons as any way of selecting takes at least."""

_CLOSED = _counts("""
GlobalAveragePool 1 GlobalLpPool 2 ReduceL2 2 ReduceLogSum 1 ReduceLogSumExp 2 ReduceMean 1
""")
"""By input, with one operation more for each output: a division, a root, a logarithm."""

_MICROSOFT_OUTPUTS = _counts("""
BiasAdd 2 BiasGelu 6 FastGelu 10 Gelu 5 QuickGelu 6 QLinearAdd 9 QLinearMul 9 QLinearConcat 6
QLinearLeakyRelu 8 QLinearSigmoid 10 DequantizeLinear 2 QuantizeLinear 4 RotaryEmbedding 3
EmbedLayerNormalization 9 GatherBlockQuantized 2
""")

_MICROSOFT_INPUTS = _counts("""
BiasSoftmax 6 GroupNorm 7 LayerNormalization 7 QLinearSoftmax 11 QLinearGlobalAveragePool 1
SimplifiedLayerNormalization 4 SkipLayerNormalization 8 SkipSimplifiedLayerNormalization 5
""")

_ML_OUTPUTS = _counts("Binarizer 1 Imputer 1 LabelEncoder 1 Normalizer 3 OneHotEncoder 1 Scaler 2")

ROWS: dict[str, Row] = {
    **{name: _each_output(count) for name, count in _OUTPUTS.items()},
    **{name: _each_input(count) for name, count in _INPUTS.items()},
    **{name: _each_input(count, 1) for name, count in _CLOSED.items()},
    **dict.fromkeys(("Max", "Min", "Sum", "Mean"), _variadic),
    "LRN": _lrn,
}

MICROSOFT: dict[str, Row] = {
    **{name: _each_output(count) for name, count in _MICROSOFT_OUTPUTS.items()},
    **{name: _each_input(count) for name, count in _MICROSOFT_INPUTS.items()},
}

ML: dict[str, Row] = {name: _each_output(count) for name, count in _ML_OUTPUTS.items()}
