"""The default pipelines, as text."""

LOSSLESS = (
    "freeze-initializers, inline, raise-opset{plain}, infer-shapes, "
    "repeat(fold-constants, inline-if, unroll-loops, prune-control-flow, simplify, split-slices, "
    "fuse, einsum, read-extents, share-initializers, cse, dce, infer-shapes)"
)
"""What any runtime gains from: nothing in it is made for one of them."""

ONNXRUNTIME_CPU = (
    f"{LOSSLESS}, attention, simplify, read-extents, share-initializers, cse, dce, keep-blocks, "
    "forget-shapes"
)
"""ONNX Runtime infers shapes itself; from written ones it makes SkipLayerNormalization, which
takes several times as long on its CPU provider as the two operators it replaces."""
