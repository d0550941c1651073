"""The default pipelines, as text."""

LOSSLESS = (
    "freeze-initializers, inline, fold-constants{stated=false}, raise-opset{plain=true}, "
    "infer-shapes, "
    "repeat(fold-constants, inline-if, unroll-loops, prune-control-flow, simplify, split-slices, "
    "fuse, einsum, read-extents, share-initializers, cse, dce, infer-shapes)"
)
"""What any runtime gains from: nothing in it is made for one of them. What constants alone decide
goes first, so that no other pass looks at it, and by no shape that the file states, which may be
stale; what shapes decide, where they are known."""

_WHOLE = "fuse, simplify, read-extents, share-initializers, cse, dce"
"""After attention has become one operator: what else the newer operator set has one for."""

_FORMS = "keep-blocks, to-gemm, shuffle-channels, simplify, share-initializers, cse, dce"
"""What kernels of floats run fastest, and what that leaves to be tidied up."""

ONNXRUNTIME_CPU = f"{LOSSLESS}, attention, {_WHOLE}, {_FORMS}, forget-shapes"
"""ONNX Runtime infers shapes itself; from written ones it makes SkipLayerNormalization, which
takes several times as long on its CPU provider as the two operators it replaces."""

ONNXRUNTIME_CUDA = f"{LOSSLESS}, attention, multi-head-attention, {_WHOLE}, infer-shapes"
"""With all shapes written, from which ONNX Runtime makes SkipLayerNormalization itself."""
