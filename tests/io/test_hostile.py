"""Files that are no models, or mean harm: one line, what and where and what next."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import helper

import onnxopt.io
from onnxopt.errors import ModelError
from tests.io import models


def refused(path: Path) -> str:
    """Return the message with which a file is refused, which is one line of bounded length."""
    with pytest.raises(ModelError) as caught:
        onnxopt.io.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    assert str(path.parent) in message
    return message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello, this is a text file\n",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        b"PK\x03\x04\x14\x00\x00\x00\x08\x00",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        bytes(1000),
        b"\xff" * 1000,
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        onnx.ModelProto(ir_version=8).SerializeToString(),
    ],
    ids=["empty", "text", "png", "zip", "lfs", "zeros", "ones", "length", "no-graph"],
)
@pytest.mark.parametrize("suffix", [".onnx", ".onnxtxt", ".textproto", ".json"])
def test_what_is_no_model(data: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(data)
    refused(path)


def test_truncation_anywhere(tmp_path: Path) -> None:
    whole = models.add(2000).SerializeToString()
    path = tmp_path / "m.onnx"
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        refused(path)


def test_missing_folder_and_pipe(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.onnx")
    assert "folder" in refused(tmp_path)
    os.mkfifo(tmp_path / "pipe.onnx")
    assert "regular" in refused(tmp_path / "pipe.onnx")


def relu(source: str, target: str) -> onnx.NodeProto:
    return helper.make_node("Relu", [source], [target], name=f"relu_{target}")


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([relu("b", "a"), relu("a", "b"), relu("b", "y")], "cycle through Relu 'relu_"),
        ([relu("y", "y")], "cycle through Relu 'relu_y'"),
        ([relu("nowhere", "y")], "nothing makes 'nowhere'"),
        ([relu("x", "z")], "makes its output 'y'"),
        ([relu("x", "y"), relu("x", "y")], "'y' is redeclared"),
        ([relu("x", "x"), relu("x", "y")], "'x' is redeclared"),
    ],
)
def test_graphs_that_do_not_hang_together(
    nodes: list[onnx.NodeProto], says: str, tmp_path: Path
) -> None:
    path = models.write(models.model(nodes), tmp_path / "m.onnx")
    assert says in refused(path)


def test_a_cycle_through_a_subgraph(tmp_path: Path) -> None:
    branch = helper.make_graph([relu("late", "z")], "b", [], [models.info("z")])
    nodes = [
        helper.make_node("If", ["c"], ["early"], then_branch=branch, else_branch=branch),
        relu("early", "late"),
        relu("late", "y"),
    ]
    condition = helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, [])
    path = models.write(models.model(nodes, inputs=[condition]), tmp_path / "m.onnx")
    assert "cycle through Relu 'relu_late' -> If 'early';" in refused(path)


def test_names_that_occur_twice(tmp_path: Path) -> None:
    proto = models.add()
    proto.graph.initializer.add().CopyFrom(proto.graph.initializer[0])
    assert "same name" in refused(models.write(proto, tmp_path / "m.onnx"))
    twice = models.model([relu("x", "y")], inputs=[models.info("x"), models.info("x")])
    assert "two inputs named 'x'" in refused(models.write(twice, tmp_path / "n.onnx"))


def test_a_function_that_calls_itself(tmp_path: Path) -> None:
    calls = [helper.make_node("F", ["a"], ["b"], domain="local")]
    function = helper.make_function("local", "F", ["a"], ["b"], calls, [])
    nodes = [helper.make_node("F", ["x"], ["y"], domain="local")]
    path = models.write(models.model(nodes, functions=[function]), tmp_path / "m.onnx")
    assert "calling itself" in refused(path)


def claim(*dims: int) -> Callable[[onnx.TensorProto], None]:
    def change(tensor: onnx.TensorProto) -> None:
        del tensor.dims[:]
        tensor.dims.extend(dims)

    return change


@pytest.mark.parametrize("size", [4, 4000])
@pytest.mark.parametrize(
    "change",
    [
        claim(2**62),
        claim(2**62, 4),
        claim(2**32, 2**32),
        claim(-1, -4),
        claim(-4),
        claim(5),
        lambda tensor: setattr(tensor, "data_type", 0),
        lambda tensor: setattr(tensor, "data_type", onnx.TensorProto.DOUBLE),
        lambda tensor: setattr(tensor, "data_type", onnx.TensorProto.STRING),
        lambda tensor: tensor.ClearField("raw_data"),
    ],
)
def test_weights_whose_shape_lies(
    size: int, change: Callable[[onnx.TensorProto], None], tmp_path: Path
) -> None:
    proto = models.add(size)
    change(proto.graph.initializer[0])
    assert "'w'" in refused(models.write(proto, tmp_path / "m.onnx"))


def test_typed_values_whose_shape_lies(tmp_path: Path) -> None:
    proto = models.add()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1, 2, 3])
    assert "3 values" in refused(models.write(proto, tmp_path / "m.onnx"))
    tensor.float_data.append(4)
    weight = onnxopt.io.load(models.write(proto, tmp_path / "m.onnx")).graph.initializers["w"]
    assert weight.const_value is not None
    assert weight.const_value.numpy().tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("/etc/passwd", "relative"),
        ("../secret.data", "outside"),
        ("a/../../secret.data", "outside"),
        ("link.data", "outside"),
        ("link/secret.data", "outside"),
        ("", "relative"),
        ("nul\0.data", "relative"),
        ("missing.data", "missing"),
        ("short.data", "too short"),
        ("sub", "folder"),
        ("pipe.data", "regular"),
    ],
)
def test_data_files(location: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "secret.data").write_bytes(bytes(5000))
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "link.data").symlink_to(tmp_path / "secret.data")
    (folder / "link").symlink_to(tmp_path)
    (folder / "short.data").write_bytes(bytes(4000))
    os.mkfifo(folder / "pipe.data")
    path = models.write(models.add_outside(location), folder / "m.onnx")
    assert says in refused(path)


def test_a_linked_model_may_have_linked_data(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    values = np.arange(1024, dtype=np.float32)
    (blobs / "1").write_bytes(values.tobytes())
    models.write(models.add_outside("m.onnx.data"), blobs / "2")
    (snapshot / "m.onnx.data").symlink_to(blobs / "1")
    (snapshot / "m.onnx").symlink_to(blobs / "2")
    weight = onnxopt.io.load(snapshot / "m.onnx").graph.initializers["w"].const_value
    assert weight is not None
    np.testing.assert_array_equal(weight.numpy(), values)


def nested(depth: int) -> bytes:
    """Serialize a model with an If inside an If and so on, written by hand from the inside out."""
    graph = helper.make_graph([relu("x", "y")], "g", [], [models.info("y")]).SerializeToString()
    head = helper.make_node("If", ["x"], ["y"]).SerializeToString()
    for _ in range(depth):
        kind = onnx.AttributeProto(name="then_branch", type=onnx.AttributeProto.GRAPH)
        attribute = kind.SerializeToString() + models.length_delimited(6, graph)
        node = head + models.length_delimited(5, attribute)
        output = models.info("y").SerializeToString()
        graph = models.length_delimited(1, node) + models.length_delimited(12, output)
    graph += models.length_delimited(11, models.info("x").SerializeToString())
    shell = onnx.ModelProto(ir_version=8, opset_import=[helper.make_opsetid("", 17)])
    start: bytes = shell.SerializeToString()
    return start + models.length_delimited(7, graph)


def test_deep_nesting(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(nested(1000))
    assert "nested too deeply" in refused(path)
    path.write_bytes(nested(20))
    onnxopt.io.load(path)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".onnxtxt", '<ir_version: 8, opset_import: ["": 17]> g (float[1] x) => (float[1] y) {'
         + " y = If(x) <then_branch = g () => (float[1] y) {" * 100_000),
        (".onnxtxt", '<ir_version: 8, opset_import: ["": 17]> g (' + "seq(" * 100_000),
        (".json", '{"graph":' * 5000),
        (".json", "[" * 100_000),
        (".textproto", "graph { node { attribute { g { " * 5000),
    ],
)  # fmt: skip
def test_deep_nesting_in_text(suffix: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_text(text)
    refused(path)


def test_what_onnx_ir_would_drop(tmp_path: Path) -> None:
    proto = models.add()
    sparse = proto.graph.sparse_initializer.add()
    sparse.values.name = "s"
    assert "'s' is sparse" in refused(models.write(proto, tmp_path / "m.onnx"))
    proto = models.add()
    proto.training_info.add()
    with pytest.warns(UserWarning, match="training"):
        onnxopt.io.load(models.write(proto, tmp_path / "n.onnx"))


def test_a_hundred_thousand_nodes_in_the_wrong_order(tmp_path: Path) -> None:
    count = 100_000
    proto = models.model([], inputs=[models.info("v0")], outputs=[models.info(f"v{count}")])
    for i in reversed(range(count)):
        proto.graph.node.add(op_type="Relu", input=[f"v{i}"], output=[f"v{i + 1}"])
    path = models.write(proto, tmp_path / "m.onnx")
    start = time.process_time()
    model = onnxopt.io.load(path)
    assert time.process_time() - start < 20  # 2 s where nothing else runs
    assert model.graph[0].inputs[0] is model.graph.inputs[0]
    assert len(model.graph) == count
