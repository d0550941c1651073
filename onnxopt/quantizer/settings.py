"""Models on settings of the runtime that compute in fewer bits: held against the float model."""

from __future__ import annotations

from onnxopt import graph
from onnxopt.layers import readers
from onnxopt.quantizer.attempt import Built
from onnxopt.quantizer.guard import Guard, expected_db
from onnxopt.quantizer.report import Tried
from onnxopt.report import Size
from onnxopt.spec import write_options
from onnxopt.target import Backend

_BITS = 8
"""Significant bits of bfloat16; float16 has eleven."""


def held_against(label: str, built: Built, backend: Backend, guard: Guard) -> Tried:
    """Return what a model has lost where a target's setting runs it."""
    with backend.open(built.model) as session:
        loss = guard.loss(session)
    nodes = [node for home in graph.graphs(built.model) for node in home]
    layers = sum(readers.read(node) is not None for node in nodes)
    tried = Tried(
        scheme=label,
        layers=len(built.layers),
        sqnr_db=loss.sqnr_db,
        agreement=loss.agreement,
        least_db=expected_db(layers or len(built.layers), _BITS),
        weight_bytes=Size.of(built.model).weight_bytes,
        runs_with=f"{backend.target().name}{write_options(backend)}",
    )
    if loss.strange:
        tried.refused = "its outputs are NaN, infinite or of another shape"
    elif tried.least_db is not None and loss.sqnr_db < tried.least_db:
        tried.refused = (
            f"its outputs keep {loss.sqnr_db:.1f} dB, where the types explain "
            f"{tried.least_db:.1f} dB"
        )
    return tried
