"""Cutting and splicing on the wire against protobuf itself."""

from __future__ import annotations

import time

import google.protobuf.message
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from onnxopt.io.wire import Mark, Span, WireError, cut, splice

MARK = Mark(b"0123456789abcdef")

tensors = st.builds(
    onnx.TensorProto,
    name=st.text(max_size=3),
    dims=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=2),
    data_type=st.integers(0, 20),
    raw_data=st.binary(max_size=60) | st.binary(min_size=200, max_size=300),
    float_data=st.lists(st.floats(width=32), max_size=3),
    double_data=st.lists(st.floats(), max_size=2),
    doc_string=st.just("") | st.text(min_size=100, max_size=200),
)


def attributes(
    graphs: st.SearchStrategy[onnx.GraphProto],
) -> st.SearchStrategy[onnx.AttributeProto]:
    return st.one_of(
        st.builds(onnx.AttributeProto, name=st.text(max_size=2), t=tensors),
        st.builds(onnx.AttributeProto, tensors=st.lists(tensors, max_size=2)),
        st.builds(onnx.AttributeProto, g=graphs),
        st.builds(onnx.AttributeProto, graphs=st.lists(graphs, max_size=2)),
        st.builds(onnx.AttributeProto, i=st.integers(-(2**63), 2**63 - 1), f=st.floats(width=32)),
    )


def nodes(graphs: st.SearchStrategy[onnx.GraphProto]) -> st.SearchStrategy[list[onnx.NodeProto]]:
    node = st.builds(
        onnx.NodeProto,
        input=st.lists(st.text(max_size=2), max_size=2),
        op_type=st.text(max_size=130),
        attribute=st.lists(attributes(graphs), max_size=3),
    )
    return st.lists(node, max_size=2)


graphs = st.recursive(
    st.builds(onnx.GraphProto, initializer=st.lists(tensors, max_size=2)),
    lambda inner: st.builds(
        onnx.GraphProto,
        name=st.text(max_size=2),
        initializer=st.lists(tensors, max_size=2),
        node=nodes(inner),
    ),
    max_leaves=4,
)
models = st.builds(
    onnx.ModelProto,
    ir_version=st.integers(0, 2**62),
    graph=graphs,
    functions=st.lists(st.builds(onnx.FunctionProto, node=nodes(graphs)), max_size=1),
)


def restore(small: bytes, spans: list[Span], data: bytes) -> bytes:
    weights = [data[offset : offset + length] for offset, length in spans]
    pieces, length = splice(small, MARK, [len(weight) for weight in weights])
    out = b"".join(weights[piece] if isinstance(piece, int) else piece for piece in pieces)
    assert len(out) == length
    return out


@settings(max_examples=100, deadline=None)
@given(models)
def test_cut_and_spliced_is_the_same(model: onnx.ModelProto) -> None:
    data = model.SerializeToString()
    small, spans = cut(data, MARK, 100)
    assert restore(small, spans, data) == data
    if spans:
        left = onnx.ModelProto.FromString(small).SerializeToString()
        assert len(left) == len(small) < len(data)


@settings(max_examples=100, deadline=None)
@given(models, st.data())
def test_truncated_or_altered_is_refused_or_parses_alike(
    model: onnx.ModelProto, choose: st.DataObject
) -> None:
    """Where protobuf refuses the bytes, the cutter or protobuf on what it leaves refuses too."""
    data = bytearray(model.SerializeToString())
    del data[choose.draw(st.integers(0, len(data))) :]
    if data:
        data[choose.draw(st.integers(0, len(data) - 1))] = choose.draw(st.integers(0, 255))
    try:
        whole = onnx.ModelProto.FromString(bytes(data))
    except google.protobuf.message.DecodeError:
        whole = None
    try:
        small, spans = cut(bytes(data), MARK, 100)
        parsed = onnx.ModelProto.FromString(small)
    except (WireError, google.protobuf.message.DecodeError):
        return  # the cutter is stricter: it knows no groups
    assert whole is not None
    if not spans:
        assert parsed.SerializeToString() == whole.SerializeToString()
    restored = restore(small, spans, bytes(data))
    again = onnx.ModelProto.FromString(restored).SerializeToString()
    assert again == whole.SerializeToString()


def test_groups_and_what_is_cut_off_are_refused() -> None:
    for data in (b"\x3b\x3c", b"\x80", b"\x08", b"\x39\x00", b"\x3a\x05abc", b"\xff" * 20):
        with pytest.raises(WireError):
            cut(data, MARK, 1)


def test_a_message_in_two_parts_is_merged_as_protobuf_does() -> None:
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[50], raw_data=bytes(200))
    graph = helper.make_graph([], "g", [], [], [tensor])
    model = onnx.ModelProto(ir_version=8, graph=graph).SerializeToString()
    doubled = model + onnx.ModelProto(graph=graph).SerializeToString()
    small, spans = cut(doubled, MARK, 100)
    assert len(onnx.ModelProto.FromString(small).graph.initializer) == len(spans) == 2


def test_a_million_values_are_not_walked_through() -> None:
    node = helper.make_node("Tree", ["x"], ["y"], splits=list(range(300, 1_000_300)))
    words = onnx.TensorProto(name="s", data_type=8, dims=[10**6], string_data=[b"word"] * 10**6)
    model = onnx.ModelProto(ir_version=8, graph=helper.make_graph([node], "g", [], [], [words]))
    data = model.SerializeToString()
    start = time.process_time()
    assert cut(data, MARK, 1024) == (data, [])
    assert time.process_time() - start < 0.1
