"""The corpus itself: every graph is a valid model that ONNX Runtime runs as it is written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from tests.contract.graphs import graphs

GRAPHS = graphs()
NOT_RUNNABLE = {"custom_domain"}
NOT_INFERABLE = NOT_RUNNABLE | {"runtime_domain"}


def _feed(kind: str, shape: Sequence[int | str]) -> npt.NDArray[np.generic]:
    sizes = [size if isinstance(size, int) else 3 for size in shape]
    if kind == "tensor(string)":
        return np.full(sizes, "yes", object)
    numbers = np.random.default_rng(0).integers(0, 3, sizes)
    names = {"tensor(float)": "float32", "tensor(double)": "float64"}
    return numbers.astype(names.get(kind, kind[len("tensor(") : -1]))


def test_there_are_many() -> None:
    assert len(GRAPHS) >= 45


@pytest.mark.parametrize("name", GRAPHS)
def test_is_valid(name: str) -> None:
    onnx.checker.check_model(GRAPHS[name], full_check=name not in NOT_INFERABLE)


@pytest.mark.parametrize("name", sorted(GRAPHS.keys() - NOT_RUNNABLE))
def test_runs_unoptimized(name: str) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        GRAPHS[name].SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feeds = {given.name: _feed(given.type, given.shape) for given in session.get_inputs()}
    assert len(session.run(None, feeds)) == len(GRAPHS[name].graph.output)
