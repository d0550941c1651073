"""The CPU target on ONNX Runtime: opening, running, errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import ml_dtypes
import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from onnxopt.backends._bound import BoundSession
from onnxopt.backends._install import one_line
from onnxopt.backends._ort import Optimization
from onnxopt.backends._session import OrtSession
from onnxopt.backends.cpu import Cpu
from onnxopt.backends.cuda import Cuda
from onnxopt.backends.provider import Provider
from onnxopt.errors import BackendError, ModelError, UsageError
from onnxopt.target import Placement
from tests.backends.models import WIDTH, dense_model, single, tensor, weight


def expected(x: np.ndarray) -> np.ndarray:
    y: np.ndarray = np.maximum(x @ weight(), 0)
    return y


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, WIDTH)).astype(np.float32)


def test_a_path_and_a_model_run_alike(tmp_path: Path) -> None:
    model, path = dense_model(), tmp_path / "m.onnx"
    ir.save(model, path, external_data="m.data")
    for source in (path, model, ir.load(path)):
        with Cpu(threads=1).open(source) as session:
            np.testing.assert_allclose(session.run({"x": rows(3)})["y"], expected(rows(3)), 1e-4)


def test_opening_leaves_the_model_as_it_was() -> None:
    model = dense_model()
    before = model.graph.initializers["w"].const_value
    Cpu().open(model).close()
    assert model.graph.initializers["w"].const_value is before


def test_external_weights_in_subgraphs_are_read(tmp_path: Path) -> None:
    array = np.arange(4, dtype=np.float32)
    (tmp_path / "w.data").write_bytes(array.tobytes())
    stored = ir.ExternalTensor(
        "w.data", 0, 16, ir.DataType.FLOAT, shape=ir.Shape([4]), name="w", base_dir=tmp_path
    )
    branches = []
    for name in ("then", "else"):
        w = tensor(f"w_{name}", ir.DataType.FLOAT, (4,))
        w.const_value = stored
        out = ir.Node("", "Neg", [w], outputs=[tensor(name, ir.DataType.FLOAT, (4,))])
        branches.append(ir.Graph([], out.outputs, nodes=[out], initializers=[w], name=name))
    condition = tensor("c", ir.DataType.BOOL, ())
    node = ir.Node(
        "",
        "If",
        [condition],
        [ir.AttrGraph("then_branch", branches[0]), ir.AttrGraph("else_branch", branches[1])],
        outputs=[tensor("y", ir.DataType.FLOAT, (4,))],
    )
    with Cpu().open(single(node, [condition])) as session:
        np.testing.assert_array_equal(session.run({"c": np.array(True)})["y"], -array)


@pytest.mark.parametrize("optimization", get_args(Optimization))
def test_every_option_gives_the_same_numbers(optimization: Optimization) -> None:
    backend = Cpu(
        threads=2,
        inter_threads=2,
        spinning=False,
        arena=False,
        mem_pattern=False,
        prepacking=False,
        denormal_as_zero=True,
        optimization=optimization,
    )
    with backend.open(dense_model()) as session:
        np.testing.assert_allclose(session.run({"x": rows(2)})["y"], expected(rows(2)), 1e-4)


def test_options_reach_the_runtime() -> None:
    options = Cpu(threads=3, spinning=False, prepacking=False).session_options()
    assert options.intra_op_num_threads == 3
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.get_session_config_entry("session.disable_prepacking") == "1"


def test_the_graph_that_runs_can_be_kept(tmp_path: Path) -> None:
    path = tmp_path / "runs.onnx"
    Cpu(save_optimized=path).open(dense_model()).close()
    kinds = [node.op_type for node in ir.load(path).graph]
    assert len(kinds) <= 2
    assert kinds


def test_only_the_outputs_asked_for_come_back() -> None:
    with Cpu().open(dense_model()) as session:
        assert list(session.run({"x": rows(1)}, ["y"])) == ["y"]
        with pytest.raises(ModelError, match="no output 'z'"):
            session.run({"x": rows(1)}, ["z"])


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "x"),
        ({"x": rows(1), "q": rows(1)}, "no input 'q'"),
        ({"x": rows(1)[:, :3]}, "Got: 3 Expected: 64"),
        ({"x": rows(1).astype(np.float64)}, "double"),
    ],
)
def test_feeds_that_do_not_fit_are_the_callers_fault(
    feeds: dict[str, np.ndarray], message: str
) -> None:
    with Cpu().open(dense_model()) as session, pytest.raises(ModelError, match=message) as caught:
        session.run(feeds)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_types_numpy_lacks_go_in_and_out(kind: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, kind))
    element = ir.DataType.from_numpy(dtype)
    x, shape = tensor("x", element, (4,)), tensor("s", ir.DataType.INT64, (2,))
    node = ir.Node("", "Reshape", [x, shape], outputs=[tensor("y", element, (2, 2))])
    array = np.array([1, -2, 0.5, 3]).astype(dtype)
    with Cpu().open(single(node, [x, shape], opset=21)) as session:
        y = session.run({"x": array, "s": np.array([2, 2])})["y"]
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, array.reshape(2, 2))


def test_sequences_and_strings_come_as_they_are() -> None:
    x = tensor("x", ir.DataType.STRING, (2,))
    out = ir.Value(name="y", type=ir.SequenceType(ir.TensorType(ir.DataType.STRING)))
    node = ir.Node("", "SequenceConstruct", [x, x], outputs=[out])
    with Cpu().open(single(node, [x])) as session:
        first, second = session.run({"x": np.array(["a", "ü"], dtype=object)})["y"]
    assert list(first) == list(second) == ["a", "ü"]


def test_a_refused_model_is_one_line_that_names_the_node(tmp_path: Path) -> None:
    x = tensor("x", ir.DataType.FLOAT, (1,))
    node = ir.Node("", "Foo", [x], name="bad", outputs=[tensor("y", ir.DataType.FLOAT, (1,))])
    with pytest.raises(BackendError, match="bad") as caught:
        Cpu().open(single(node, [x]))
    assert "\n" not in str(caught.value)
    (tmp_path / "garbage.onnx").write_bytes(b"garbage")
    for name in ("garbage.onnx", "absent.onnx"):
        with pytest.raises(BackendError, match=name):
            Cpu().open(tmp_path / name)


def test_messages_lose_codes_and_places() -> None:
    raw = "[ONNXRuntimeError] : 1 : FAIL : /a/b.h:46 void f(const std::map<int>&, bool) Opset 27 is"
    assert one_line(RuntimeError(raw)) == "Opset 27 is"


def test_the_target_states_what_the_runtime_states() -> None:
    target = Cpu.target()
    assert target.name == "cpu"
    assert target.max_opset >= 21
    assert "com.microsoft::FusedMatMul" in target.operators
    model = dense_model()
    model.graph.opset_imports[""] = target.max_opset
    Cpu().open(model).close()
    model.graph.opset_imports[""] += 1
    with pytest.raises(BackendError, match="under development"):
        Cpu().open(model)


def test_a_missing_provider_says_how_to_get_it() -> None:
    why = Cuda.unavailable()
    if why is None:
        pytest.skip("CUDA is here")
    with pytest.raises(BackendError, match=r"onnxruntime-gpu\[cuda,cudnn\]"):
        Cuda().open(dense_model())
    with pytest.raises(BackendError, match="has no DnnlExecutionProvider"):
        Provider(provider="dnnl").open(dense_model())
    with pytest.raises(UsageError, match="'warp'"):
        Provider(provider="warp")


def test_cuda_options_reach_the_provider() -> None:
    name, settings = Cuda(tf32=False, cudnn_search="heuristic", memory_limit=7).provider_settings()
    assert name == "CUDAExecutionProvider"
    assert settings["use_tf32"] == "0"
    assert settings["cudnn_conv_algo_search"] == "HEURISTIC"
    assert settings["gpu_mem_limit"] == "7"


class FakeNode:
    name, op_type = "shape", "Shape"


class FakePart:
    def __init__(self, provider: str) -> None:
        self.ep_name = provider

    def get_nodes(self) -> Sequence[FakeNode]:
        return [FakeNode()]


class FakeRuntime:
    """What a session of a CUDA build says of itself."""

    def get_inputs(self) -> list[object]:
        return []

    get_outputs = get_overridable_initializers = get_inputs

    def get_provider_graph_assignment_info(self) -> Sequence[FakePart]:
        return [FakePart("CUDAExecutionProvider"), FakePart("CPUExecutionProvider")]


def test_nodes_that_fall_back_are_told() -> None:
    session = OrtSession(FakeRuntime(), "CUDAExecutionProvider", [])
    found = Placement(node="shape", op_type="Shape", provider="CPUExecutionProvider")
    assert session.fallbacks() == [found]
    with Cpu().open(dense_model()) as real:
        assert list(real.fallbacks()) == []
    with Provider(provider="cpu").open(dense_model()) as real:
        assert list(real.fallbacks()) == []


@pytest.mark.parametrize("fixed_outputs", [True, False])
def test_bound_buffers_give_the_same_numbers(fixed_outputs: bool) -> None:
    with Cpu().open(dense_model()) as plain:
        bound = BoundSession(
            plain.raw, "CPUExecutionProvider", [], device=("cpu", 0), fixed_outputs=fixed_outputs
        )
        results = [(rows(n), bound.run({"x": rows(n)})["y"]) for n in (2, 2, 3, 1, 3)]
    for x, y in results:
        np.testing.assert_allclose(y, expected(x), 1e-4)


def test_every_set_of_buffers_is_recorded_as_a_graph_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Cpu().open(dense_model()) as plain:
        bound = BoundSession(
            plain.raw, "CPUExecutionProvider", [], device=("cpu", 0), fixed_outputs=True
        )
        graphs: list[int] = []
        run = plain.raw.run_with_iobinding

        def noted(binding: ort.IOBinding, options: ort.RunOptions) -> None:
            graphs.append(int(options.get_run_config_entry("gpu_graph_id")))
            run(binding, options)

        monkeypatch.setattr(plain.raw, "run_with_iobinding", noted)
        for n in (2, 2, 3, 2):
            bound.run({"x": rows(n)})
    assert graphs == [-1, 1, 1, -1, 2, -1, 3]


def test_what_a_graph_cannot_hold_is_refused() -> None:
    x = tensor("x", ir.DataType.BFLOAT16, (4,))
    node = ir.Node("", "Identity", [x], outputs=[tensor("y", ir.DataType.BFLOAT16, (4,))])
    with Cpu().open(single(node, [x])) as plain:
        bound = BoundSession(
            plain.raw, "CPUExecutionProvider", [], device=("cpu", 0), fixed_outputs=True
        )
        with pytest.raises(BackendError, match="leave cuda-graph out"):
            bound.run({"x": np.zeros(4, ml_dtypes.bfloat16)})


def test_cuda_says_what_keeps_it_to_one_caller() -> None:
    assert Cuda().alone() is None
    found = [Cuda(cuda_graph=True), Cuda(io_binding=True), Cuda(device_time=True)]
    names = ["cuda-graph", "io-binding", "device-time"]
    said = [f"cuda with {name} serves one caller at a time" for name in names]
    assert [backend.alone() for backend in found] == said


def test_a_closed_session_says_so() -> None:
    session = Cpu().open(dense_model())
    session.close()
    with pytest.raises(BackendError, match="closed"):
        session.run({"x": rows(1)})


def test_importing_the_targets_leaves_the_runtimes_alone() -> None:
    code = (
        "import sys, onnxopt.backends.cpu, onnxopt.backends.cuda, onnxopt.backends.openvino;"
        "sys.exit('onnxruntime' in sys.modules or 'openvino' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
