"""Which operators are of a kind, so that a drawing can give them one colour."""

from __future__ import annotations

_TABLE = {
    "convolution, product": """
        Conv ConvInteger ConvTranspose DeformConv MatMul MatMulInteger Gemm Einsum Attention RNN GRU
        LSTM QLinearConv QLinearMatMul FusedConv FusedMatMul FusedGemm QGemm MatMulNBits
        MultiHeadAttention GroupQueryAttention QAttention DynamicQuantizeMatMul
        MatMulIntegerToFloat TransposeMatMul""",
    "activation": """
        Celu Clip Elu Erf Gelu HardSigmoid HardSwish Hardmax LeakyRelu LogSoftmax Mish PRelu Relu
        Selu Shrink Sigmoid Softmax Softplus Softsign Swish Tanh ThresholdedRelu BiasGelu FastGelu
        QuickGelu QLinearSigmoid QLinearSoftmax QLinearLeakyRelu""",
    "normalization, reduction": """
        ArgMax ArgMin AveragePool BatchNormalization CumSum GlobalAveragePool GlobalLpPool
        GlobalMaxPool GroupNormalization InstanceNormalization LRN LayerNormalization
        LpNormalization LpPool MaxPool MaxRoiPool MeanVarianceNormalization RMSNormalization
        ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
        ReduceSum ReduceSumSquare RoiAlign TopK SkipLayerNormalization
        SimplifiedLayerNormalization SkipSimplifiedLayerNormalization QLinearAveragePool
        QLinearGlobalAveragePool""",
    "arithmetic": """
        Abs Add And BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Ceil Cos Cosh Div Equal Exp
        Floor Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Log Max Mean Min Mod Mul Neg Not
        Or Pow Reciprocal Round Sign Sin Sinh Sqrt Sub Sum Tan Where Xor QLinearAdd QLinearMul
        QLinearWhere""",
    "shape, layout": """
        Cast CastLike CenterCropPad Compress Concat Constant ConstantOfShape DepthToSpace Expand
        EyeLike Flatten Gather GatherElements GatherND Identity NonZero OneHot Pad Range Reshape
        Resize ReverseSequence ScatterElements ScatterND Shape Size Slice SpaceToDepth Split
        Squeeze Tile Transpose Trilu Unsqueeze Upsample QLinearConcat ReorderInput
        ReorderOutput""",
    "quantization": "QuantizeLinear DequantizeLinear DynamicQuantizeLinear",
}
_FAMILIES = {operator: family for family, row in _TABLE.items() for operator in row.split()}

OTHER = "other"
FAMILIES = (*_TABLE, OTHER)


def family(operator: str) -> str:
    """Return the kind of an operator, by its type without the domain; ``other`` for the rest."""
    return _FAMILIES.get(operator, OTHER)
