"""The default pipelines, as text."""

LOSSLESS = (
    "freeze-initializers, inline, infer-shapes, "
    "repeat(fold-constants, inline-if, unroll-loops, prune-control-flow, simplify, fuse, "
    "share-initializers, cse, dce, infer-shapes)"
)
"""What any runtime gains from: nothing in it is made for one of them."""
