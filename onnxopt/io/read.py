"""Read model files. Nothing in them is trusted, and no weight is read before it is needed."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import google.protobuf.message
import onnx
import onnx_ir as ir

from onnxopt.errors import ModelError
from onnxopt.io.formats import Format, format_of, one_line, parse
from onnxopt.io.hush import quiet, uncollected
from onnxopt.io.storage import Source
from onnxopt.io.structure import settle
from onnxopt.io.types import remember, set_aside
from onnxopt.io.weights import Weights
from onnxopt.io.wire import Mark, Span, WireError, cut

_MINIMUM = 1024
"""Weights below this many bytes stay in the parsed message, where reading them is cheaper."""
_LFS = b"version https://git-lfs"


def load(path: Path | str) -> ir.Model:
    """Read a model; its suffix tells the format, and an unknown one means protobuf.

    Weights in the file or in data files beside it are mapped, not read, and stay valid when the
    files are replaced. Nodes come sorted. Raises ModelError for anything that is not a model that
    hangs together; a model trained with ONNX's own training operators loses those, with a warning.
    """
    path = Path(path)
    source = Source.of_model(path)
    if source.size == 0:
        raise ModelError(f"{path}: is empty; export or copy the model again")
    mark = Mark(os.urandom(16))
    form = format_of(path)
    spans: list[Span] = []
    if form is Format.PROTOBUF:
        proto, spans = _parse(source, mark)
    else:
        proto = parse(bytes(source.data()), form, path)
    _check(proto, path)
    with uncollected():
        types = set_aside(proto.graph)
        model = _deserialize(proto, path)
        remember(model, types)
        settle(model, Weights(path, source, mark, spans).resolve, path)
    return model


def _parse(source: Source, mark: Mark) -> tuple[onnx.ModelProto, list[Span]]:
    data = source.data()
    try:
        small, spans = cut(data, mark, _MINIMUM)
        return onnx.ModelProto.FromString(small), spans
    except WireError as error:
        reason = str(error)
    except google.protobuf.message.DecodeError:
        reason = "its bytes do not parse, or subgraphs are nested too deeply"
    if data[: len(_LFS)] == _LFS:
        raise ModelError(f"{source.path}: is a pointer of Git LFS; run 'git lfs pull'")
    raise ModelError(
        f"{source.path}: is no ONNX model, or a damaged one ({reason}); export or copy it again"
    )


def _check(proto: onnx.ModelProto, path: Path) -> None:
    """Refuse what would get lost, or is no model although it parses."""
    if not proto.HasField("graph") or not proto.ir_version:
        raise ModelError(f"{path}: is no ONNX model: it has no graph; export or copy it again")
    if proto.graph.sparse_initializer:
        name = proto.graph.sparse_initializer[0].values.name
        raise ModelError(f"{path}: weight '{name}' is sparse; export the model with dense weights")
    names = {tensor.name for tensor in proto.graph.initializer}
    if len(names) < len(proto.graph.initializer) or "" in names:
        raise ModelError(f"{path}: two weights have the same name, or one has none")
    if proto.training_info:
        warnings.warn(f"{path}: the training part of the model is left out", stacklevel=3)


def _deserialize(proto: onnx.ModelProto, path: Path) -> ir.Model:
    try:
        with quiet():
            return ir.from_proto(proto)
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{path}: is not a valid model: {one_line(error)}") from error
