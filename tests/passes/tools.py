"""Run a pipeline on a small graph and hold what it must keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx.checker
import onnx.helper
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort

from onnxopt import graph, shapes
from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from onnxopt.target import Feeds, Outputs

_IR_VERSION = 10


def model_of(text: str, *, opset: int = 18) -> ir.Model:
    """Read a graph written as ``(float[N,4] x) => (float[N,4] y) { y = Relu(x) }``."""
    header = f'<ir_version: {_IR_VERSION}, opset_import: ["" : {opset}]>\n'
    return ir.from_proto(onnx.parser.parse_model(f"{header}g {text.strip()}"))


def check(
    source: str | ir.Model,
    pipeline: str,
    ops: Sequence[str],
    *,
    opset: int = 18,
    tolerance: float = 1e-5,
    feeds: Mapping[str, np.ndarray] | None = None,
) -> ir.Model:
    """Run a pipeline and dead code removal; return the model they leave.

    The operators left must be ``ops`` in any order (Constants apart), the model valid, its
    interface the same, and its outputs equal on random feeds at two sizes of each free axis.
    """
    model = model_of(source, opset=opset) if isinstance(source, str) else source
    shapes.infer(model)
    before = ir.to_proto(model)
    Pipeline.parse(f"{pipeline}, dce").run(model, Context())
    after = ir.to_proto(model)
    onnx.checker.check_model(after, full_check=True)
    assert _interface(after) == _interface(before)
    found = [node.op_type for home in graph.graphs(model) for node in home]
    assert sorted(name for name in found if name != "Constant") == sorted(ops)
    for size in (2, 3):
        fed = {**random_feeds(before, size), **(feeds or {})}
        expected, got = run(before, fed), run(after, fed)
        for name, wanted in expected.items():
            assert wanted.shape == got[name].shape, name
            assert wanted.dtype == got[name].dtype, name
            np.testing.assert_allclose(got[name], wanted, rtol=tolerance, atol=tolerance)
    return model


def unchanged(source: str, pipeline: str, *, opset: int = 18) -> None:
    """Assert that a pipeline makes no change at all."""
    model = model_of(source, opset=opset)
    shapes.infer(model)
    assert Pipeline.parse(pipeline).run(model, Context()) == 0


def run(proto: onnx.ModelProto, feeds: Feeds) -> Outputs:
    """Run a model on ONNX Runtime as it is written."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def random_feeds(proto: onnx.ModelProto, size: int) -> dict[str, np.ndarray]:
    """Return random inputs in which every free axis has one extent."""
    random = np.random.default_rng(size)
    feeds = {}
    for value in proto.graph.input:
        kind = value.type.tensor_type
        extents = [
            axis.dim_value if axis.HasField("dim_value") else size for axis in kind.shape.dim
        ]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        numbers = random.normal(0, 2, extents)
        feeds[value.name] = np.asarray(numbers > 0) if dtype == np.bool_ else numbers.astype(dtype)
    return feeds


def _interface(proto: onnx.ModelProto) -> tuple[list[str], list[str]]:
    own = proto.graph
    return [value.name for value in own.input], [value.name for value in own.output]
