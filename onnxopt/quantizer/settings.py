"""Models on settings of the runtime that compute in fewer bits: held against the float model."""

from __future__ import annotations

from onnxopt import graph
from onnxopt.errors import BackendError
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
    runs_with = f"{backend.target().name}{write_options(backend)}"
    try:
        with backend.open(built.model) as session:
            loss = guard.loss(session)
    except BackendError as error:
        refused = f"{runs_with} does not run it: {error}"
        return Tried(scheme=label, runs_with=runs_with, refused=refused)
    nodes = [node for home in graph.graphs(built.model) for node in home]
    layers = sum(readers.read(node) is not None for node in nodes)
    least = expected_db(layers or len(built.layers), _BITS)
    return Tried(
        scheme=label,
        layers=len(built.layers),
        sqnr_db=loss.sqnr_db,
        agreement=loss.agreement,
        least_db=least,
        weight_bytes=Size.of(built.model).weight_bytes,
        runs_with=runs_with,
        refused=loss.refusal(least),
    )
