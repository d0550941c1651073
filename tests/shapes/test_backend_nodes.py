"""ONNX's own node tests: what is inferred must be what the expected outputs are."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.backend.test.case.node import collect_testcases

from onnxopt import shapes


@functools.cache
def cases() -> list[tuple[str, onnx.ModelProto, list[Any], list[Any]]]:
    found = []
    for case in collect_testcases(None):
        if case.model is not None and case.data_sets:
            inputs, outputs = case.data_sets[0]
            found.append((case.name, case.model, list(inputs), list(outputs)))
    return found


def prepare(proto: onnx.ModelProto, inputs: list[Any], constants: bool) -> ir.Model:
    """Forget all annotations but those of the inputs; make the inputs constants on demand."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    del copy.graph.value_info[:]
    for output in copy.graph.output:
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")
    model = ir.from_proto(copy)
    if constants:
        for value, array in zip(tuple(model.graph.inputs), inputs, strict=False):
            array = np.asarray(array) if isinstance(array, np.generic) else array
            if isinstance(array, np.ndarray) and array.dtype.kind in "ifb":
                model.graph.inputs.remove(value)
                value.const_value = ir.tensor(array, name=value.name)
                model.graph.register_initializer(value)
    return model


def wrong(value: ir.Value, truth: Any) -> str:
    """Say what is wrong about the annotation of a value that is really this array."""
    if not isinstance(truth, np.ndarray) or value.shape is None:
        return ""
    if len(value.shape) != truth.ndim:
        return f"{value.name}: rank {len(value.shape)} is {truth.ndim}"
    for axis, size in enumerate(value.shape):
        if isinstance(size, int) and size != truth.shape[axis]:
            return f"{value.name}: axis {axis} of {value.shape} is {truth.shape}"
    return ""


@pytest.mark.parametrize("constants", [False, True])
def test_inferred_shapes_are_those_of_the_expected_outputs(constants: bool) -> None:
    problems, known, total = [], 0, 0
    for name, proto, inputs, outputs in cases():
        model = prepare(proto, inputs, constants)
        inference = shapes.infer(model)
        total += 1
        missing = [v for v in model.graph.outputs if v.shape is None or not v.shape.is_static()]
        known += not missing
        for value, truth in zip(model.graph.outputs, outputs, strict=True):
            if problem := wrong(value, truth):
                problems.append(f"{name}: {problem} {[str(stop) for stop in inference.stops]}")
        for stop in inference.stops:
            if "definition" in stop.reason or "refuses" in stop.reason or "fails" in stop.reason:
                problems.append(f"{name}: {stop}")
    assert not problems, "\n".join(problems)
    assert known > total * (0.9 if constants else 0.8)
