"""What is saved is what was loaded, whole or not at all, wherever it lies."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

import onnxopt.io
from onnxopt.errors import ModelError, UsageError
from tests.io import models

SIZE = 2000


def everything() -> onnx.ModelProto:
    """Return a model with weights and constants wherever there may be some."""
    inner = helper.make_node("Constant", [], ["k"], value=models.weight("", SIZE, 1))
    branch = helper.make_graph(
        [inner, helper.make_node("Add", ["k", "v"], ["b"])],
        "branch",
        [],
        [models.info("b", [SIZE])],
        [models.weight("v", SIZE, 2)],
    )
    body = [
        helper.make_node("Constant", [], ["c"], value=models.weight("", SIZE, 3)),
        helper.make_node("Add", ["a", "c"], ["r"]),
    ]
    domains = [helper.make_opsetid("", 17)]
    function = helper.make_function("local", "F", ["a"], ["r"], body, domains)
    constants = [models.weight("p", SIZE, 4), models.weight("q", 3, 5)]
    nodes = [
        helper.make_node("If", ["c"], ["i"], then_branch=branch, else_branch=branch, name="if"),
        helper.make_node("Mine", ["i"], ["m"], domain="local", tensors=constants, name="mine"),
        helper.make_node("F", ["m"], ["f"], domain="local", doc_string="calls"),
        helper.make_node("Add", ["f", "w"], ["y"]),
    ]
    condition = helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, [])
    weights = [models.weight("w", SIZE, 6), models.weight("typed")]
    weights[0].doc_string = "about w"
    weights[0].metadata_props.add(key="in", value="tensor")
    weights[1].metadata_props.add(key="in", value="small tensor")
    weights[1].ClearField("raw_data")
    weights[1].float_data.extend([1, 2, 3, 4])
    proto = models.model(nodes, weights, [condition], [models.info("y", [SIZE])], [function], 10)
    proto.graph.initializer.append(
        numpy_helper.from_array(np.array(["one", "two"], dtype=object), "strings")
    )
    proto.graph.quantization_annotation.add(tensor_name="w").quant_parameter_tensor_names.add(
        key="SCALE_TENSOR", value="typed"
    )
    proto.metadata_props.add(key="author", value="somebody")
    proto.producer_name, proto.doc_string, proto.domain = "maker", "about", "somewhere"
    return proto


def same(path: Path, proto: onnx.ModelProto) -> bool:
    found = onnx.load(path)
    onnx.checker.check_model(found)
    return values(found) == values(proto) and stripped(found) == stripped(proto)


def all_tensors(message: onnx.ModelProto) -> list[onnx.TensorProto]:
    found: list[onnx.TensorProto] = []

    def graph(proto: onnx.GraphProto) -> None:
        found.extend(proto.initializer)
        nodes(proto.node)

    def nodes(protos: list[onnx.NodeProto]) -> None:
        for attribute in (each for proto in protos for each in proto.attribute):
            found.extend([attribute.t] if attribute.HasField("t") else [])
            found.extend(attribute.tensors)
            for each in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                graph(each)

    graph(message.graph)
    for function in message.functions:
        nodes(function.node)
    return found


def values(proto: onnx.ModelProto) -> list[bytes]:
    return [
        numpy_helper.to_array(tensor).tobytes()
        for tensor in all_tensors(proto)
        if tensor.data_type != onnx.TensorProto.STRING
    ]


def stripped(proto: onnx.ModelProto) -> bytes:
    """Serialize the model without the bytes of its weights."""
    plain = ir.to_proto(ir.from_proto(proto))
    for tensor in all_tensors(plain):
        for field in ("raw_data", "float_data", "data_location", "external_data"):
            tensor.ClearField(field)
    data: bytes = plain.SerializeToString(deterministic=True)
    return data


@pytest.mark.parametrize("external", [None, False, True])
def test_everything_survives(external: bool | None, tmp_path: Path) -> None:
    proto = everything()
    source = models.write(proto, tmp_path / "m.onnx")
    model = onnxopt.io.load(source)
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    onnxopt.io.save(model, tmp_path / "n.onnx", external_data=external)
    assert same(tmp_path / "n.onnx", proto)
    assert (tmp_path / "n.onnx.data").exists() == bool(external)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before
    assert [len(w.metadata_props) for w in onnx.load(tmp_path / "n.onnx").graph.initializer] == [
        1, 1, 0,
    ]  # fmt: skip
    again = onnxopt.io.load(tmp_path / "n.onnx")
    onnxopt.io.save(again, tmp_path / "back.onnx", external_data=False)
    assert same(tmp_path / "back.onnx", proto)
    assert onnxopt.io.model_size(again) == 7 * 4 * SIZE + 3 * 4 + 4 * 4


@pytest.mark.parametrize("suffix", [".onnxtxt", ".txt", ".textproto", ".pbtxt", ".json"])
@pytest.mark.parametrize("external", [False, True])
def test_text(suffix: str, external: bool, tmp_path: Path) -> None:
    models.write(models.add(SIZE), tmp_path / "m.onnx")
    model = onnxopt.io.load(tmp_path / "m.onnx")
    onnxopt.io.save(model, tmp_path / f"m{suffix}", external_data=external)
    assert (tmp_path / f"m{suffix}").read_text(encoding="utf-8")
    weight = onnxopt.io.load(tmp_path / f"m{suffix}").graph.initializers["w"].const_value
    assert weight is not None
    np.testing.assert_array_equal(weight.numpy(), numpy_helper.to_array(models.weight("w", SIZE)))


def test_text_that_cannot_hold_a_type(tmp_path: Path) -> None:
    proto = models.add()
    proto.graph.initializer.append(
        helper.make_tensor("i", onnx.TensorProto.INT4, [4], [1, 2, 3, 4])
    )
    proto.graph.initializer[-1].CopyFrom(
        onnx.TensorProto(name="i", data_type=22, dims=[4], raw_data=b"\x21\x43")
    )
    model = onnxopt.io.load(models.write(proto, tmp_path / "m.onnx"))
    with pytest.raises(ModelError, match="ONNX text cannot hold"):
        onnxopt.io.save(model, tmp_path / "m.onnxtxt")
    assert os.listdir(tmp_path) == ["m.onnx"]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (onnx.TensorProto.INT4, bytes(range(256)) * 4),
        (onnx.TensorProto.UINT4, bytes(range(256)) * 4),
        (onnx.TensorProto.BFLOAT16, bytes(range(256)) * 16),
        (onnx.TensorProto.FLOAT8E4M3FN, bytes(range(256)) * 8),
        (onnx.TensorProto.BOOL, bytes([0, 1] * 1024)),
        (onnx.TensorProto.COMPLEX64, bytes(16384)),
    ],
)
def test_every_width_of_element(kind: int, data: bytes, tmp_path: Path) -> None:
    tensor = onnx.TensorProto(name="w", data_type=kind, dims=[2048], raw_data=data)
    proto = models.model([helper.make_node("Mine", ["w"], ["y"], domain="local")], [tensor])
    model = onnxopt.io.load(models.write(proto, tmp_path / "m.onnx"))
    onnxopt.io.save(model, tmp_path / "n.onnx", external_data=True)
    for path in ("m.onnx", "n.onnx"):
        weight = onnxopt.io.load(tmp_path / path).graph.initializers["w"].const_value
        assert weight is not None
        plain = ir.serde.deserialize_tensor(tensor)
        assert weight.numpy().tobytes() == plain.numpy().tobytes()
        assert weight.numpy().dtype == plain.numpy().dtype
        assert weight.tobytes() == data


def test_old_models_keep_weights_among_their_inputs(tmp_path: Path) -> None:
    proto = models.add(SIZE)
    proto.graph.input.append(models.info("w", [SIZE]))
    proto.ir_version = 3
    proto.opset_import[0].version = 7
    onnxopt.io.save(onnxopt.io.load(models.write(proto, tmp_path / "m.onnx")), tmp_path / "n.onnx")
    assert onnx.load(tmp_path / "n.onnx") == proto


def test_maps_and_sequences_of_maps(tmp_path: Path) -> None:
    """The outputs of a classifier that scikit-learn made."""
    proto = models.model([helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml")])
    plain = proto.graph.output[0].type
    scores = plain.sequence_type.elem_type.map_type
    scores.key_type = onnx.TensorProto.INT64
    scores.value_type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    model = onnxopt.io.load(models.write(proto, tmp_path / "m.onnx"))
    onnxopt.io.save(model, tmp_path / "n.onnx")
    assert onnx.load(tmp_path / "n.onnx") == proto


def test_saving_over_the_source(tmp_path: Path) -> None:
    """Tensors that were not read before the file was replaced still have their values."""
    path = models.write(models.add(SIZE), tmp_path / "m.onnx")
    expected = numpy_helper.to_array(models.weight("w", SIZE))
    for external in (True, None, True, False):
        model = onnxopt.io.load(path)
        other = onnxopt.io.load(path)
        if isinstance(other.graph.initializers["w"].const_value, ir.ExternalTensor):
            other.graph.initializers["w"].const_value = ir.tensor(
                np.zeros(SIZE, np.float32), name="w"
            )
        onnxopt.io.save(other, path, external_data=True)
        onnxopt.io.save(model, path, external_data=external)
        for each in (model, onnxopt.io.load(path)):
            weight = each.graph.initializers["w"].const_value
            assert weight is not None
            np.testing.assert_array_equal(weight.numpy(), expected)
    assert sorted(os.listdir(tmp_path)) == ["m.onnx", "m.onnx.data"]


def test_data_file_that_was_shared_stays_shared(tmp_path: Path) -> None:
    proto = models.add_outside("d", 1 << 19)
    proto.graph.initializer.append(models.outside("again", "d", size=1 << 19))
    proto.graph.initializer.append(models.outside("part", "d", size=1000, offset=4000))
    (tmp_path / "d").write_bytes(os.urandom(1 << 21))
    model = onnxopt.io.load(models.write(proto, tmp_path / "m.onnx"))
    onnxopt.io.save(model, tmp_path / "n.onnx")
    assert (tmp_path / "n.onnx.data").stat().st_size == (1 << 21) + 4000
    offsets = [
        weight.const_value.offset
        for weight in onnxopt.io.load(tmp_path / "n.onnx").graph.initializers.values()
        if isinstance(weight.const_value, ir.ExternalTensor)
    ]
    assert offsets == [0, 0, 1 << 21]


def test_thousands_of_data_files(tmp_path: Path) -> None:
    """More files than may be open at once; one that changes afterwards is refused."""
    count = 1200
    names = [f"d{i}" for i in range(count)]
    proto = models.model(
        [helper.make_node("Sum", names, ["y"])],
        [models.outside(name, name, size=1) for name in names],
    )
    for i, name in enumerate(names):
        (tmp_path / name).write_bytes(np.float32(i).tobytes())
    model = onnxopt.io.load(models.write(proto, tmp_path / "m.onnx"))
    onnxopt.io.save(model, tmp_path / "n.onnx", external_data=False)
    assert numpy_helper.to_array(onnx.load(tmp_path / "n.onnx").graph.initializer[777]) == [777]
    (tmp_path / "d777").write_bytes(b"other")
    with pytest.raises(ModelError, match=r"d777: has changed"):
        onnxopt.io.save(model, tmp_path / "n.onnx")


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("last", range(12))
def test_every_moment_of_a_killed_run_has_a_whole_model(
    last: int, links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = models.write(models.add(SIZE), tmp_path / "m.onnx")
    onnxopt.io.save(onnxopt.io.load(path), path, external_data=True)
    model = onnxopt.io.load(path)
    new = np.arange(SIZE, dtype=np.float32)
    model.graph.initializers["w"].const_value = ir.tensor(new, name="w")
    left = last

    def dying(plain: Callable[..., None]) -> Callable[..., None]:
        def step(*arguments: object) -> None:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            if plain is os.link and not links:
                raise PermissionError(errno.EPERM, "no links here")
            plain(*arguments)
            left -= 1

        return step

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        for name in ("link", "replace", "unlink"):
            patch.setattr(os, name, dying(getattr(os, name)))
        onnxopt.io.save(model, path, external_data=True)
    if not links and last == 3:
        return  # the one moment that cannot be helped: the data has moved, the model not yet
    weight = onnxopt.io.load(path).graph.initializers["w"].const_value
    assert weight is not None
    old = numpy_helper.to_array(models.weight("w", SIZE))
    np.testing.assert_array_equal(weight.numpy(), new if last >= 2 else old)


def test_targets_that_cannot_be(tmp_path: Path) -> None:
    model = onnxopt.io.load(models.write(models.add(SIZE), tmp_path / "m.onnx"))
    with pytest.raises(UsageError, match="there is no folder"):
        onnxopt.io.save(model, tmp_path / "none" / "m.onnx")
    with pytest.raises(UsageError, match="not a regular file"):
        onnxopt.io.save(model, tmp_path)
    with pytest.raises(UsageError, match="not a regular file"):
        onnxopt.io.save(model, Path(os.devnull))
    with pytest.raises(ModelError, match="cannot be written"):
        onnxopt.io.save(model, Path("/proc/m.onnx"))
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_file_modes(tmp_path: Path) -> None:
    model = onnxopt.io.load(models.write(models.add(SIZE), tmp_path / "m.onnx"))
    old = os.umask(0o027)
    try:
        onnxopt.io.save(model, tmp_path / "n.onnx", external_data=True)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "n.onnx").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "n.onnx.data").stat().st_mode) == 0o640
    (tmp_path / "n.onnx").chmod(0o604)
    onnxopt.io.save(model, tmp_path / "n.onnx")
    assert stat.S_IMODE((tmp_path / "n.onnx").stat().st_mode) == 0o604


def test_a_link_is_replaced_and_not_what_it_leads_to(tmp_path: Path) -> None:
    source = models.write(models.add(SIZE), tmp_path / "m.onnx")
    (tmp_path / "link.onnx").symlink_to(source)
    before = source.read_bytes()
    onnxopt.io.save(onnxopt.io.load(source), tmp_path / "link.onnx", external_data=True)
    assert source.read_bytes() == before
    assert not (tmp_path / "link.onnx").is_symlink()


def test_too_much_for_one_file(tmp_path: Path) -> None:
    model = onnxopt.io.load(models.write(models.add(SIZE), tmp_path / "m.onnx"))
    one = ir.tensor(np.zeros(1, np.float32))
    huge = ir.LazyTensor(lambda: one, ir.DataType.FLOAT, shape=ir.Shape([600_000_000]), name="w")
    model.graph.initializers["w"].const_value = huge
    with pytest.raises(UsageError, match="2 GiB"):
        onnxopt.io.save(model, tmp_path / "n.onnx", external_data=False)
    with pytest.raises(ModelError, match="'w' has 4 bytes, but its shape says 2400000000"):
        onnxopt.io.save(model, tmp_path / "n.onnx")
    assert os.listdir(tmp_path) == ["m.onnx"]
