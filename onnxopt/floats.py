"""What pruning and quantizing begin and end with: a float model in the form of its target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir

from onnxopt import catalogue, graph, io, lossless
from onnxopt.base import Observer
from onnxopt.errors import ModelError
from onnxopt.ops import QUANTIZED
from onnxopt.pipeline import Pipeline
from onnxopt.target import Target

FORMS = ("keep-blocks", "to-gemm", "shuffle-channels")
"""Passes that write what only kernels of floats gain from."""
HIDING = ("to-gemm", "shuffle-channels")
"""Of these, what comes after pruning: rows have no axis of their own, shuffles fixed numbers."""


def optimized(
    source: ir.Model | Path,
    target: str,
    remedy: str,
    *,
    skip: Sequence[str] = (),
    option: str = "",
    observers: tuple[Observer, ...] = (),
    seed: int = 0,
) -> tuple[ir.Model, list[str]]:
    """Return a float model after the target's lossless passes, all weights fixed, and notes.

    ``option`` is what notes call that by which a command leaves passes out.

    Raises ModelError with the ``remedy`` for a model that is quantized.
    """
    given = io.load(source) if isinstance(source, Path) else source
    found = [n for home in graph.graphs(given) for n in home if n.op_type in QUANTIZED]
    if found:
        raise ModelError(
            f"the model is quantized already: {len(found)} nodes such as {found[0].op_type} "
            f"'{found[0].name}'; {remedy}"
        )
    fixed = sum(value.is_initializer() for value in given.graph.inputs)
    request = lossless.Request(
        target=target,
        pipeline=first_passes(catalogue.find_backend(target).target(), skip),
        observers=observers,
        seed=seed,
    )
    notes = [f"{fixed} weights were inputs too: they are fixed now"] if fixed else []
    model = lossless.run(source, request)[0]
    before = graph.opset(given)
    if graph.opset(model) > before:
        notes.append(lossless.raised(before, model, option))
    return model, notes


def first_passes(target: Target, skip: Sequence[str] = ()) -> Pipeline:
    """Return what ``optimized`` runs."""
    text = f"freeze-initializers{{overridable=true}}, {target.pipeline}"
    return Pipeline.parse(text).without(skip)


def last_passes(target: Target, forms: Sequence[str] = ()) -> str:
    """Return the passes that end a pipeline on this target, and such ``forms`` as it has."""
    own = [name for name in forms if name in target.pipeline]
    first = f"infer-shapes, {', '.join(own)}, simplify, share-initializers, cse, " if own else ""
    last = "dce, forget-shapes" if "forget-shapes" in target.pipeline else "dce"
    return f"{first}{last}"
