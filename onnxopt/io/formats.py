"""The text forms of a model, told by a file's suffix."""

from __future__ import annotations

import enum
import re
from pathlib import Path

import google.protobuf.json_format
import google.protobuf.message
import google.protobuf.text_format
import onnx
import onnx.parser
import onnx.printer

from onnxopt.errors import ModelError

_MAX_DEPTH = 100
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|#[^\n]*|[{}()]', re.DOTALL)


class Format(enum.Enum):
    """How a model is written down."""

    PROTOBUF = "protobuf"
    ONNX_TEXT = "ONNX text"
    PROTOBUF_TEXT = "protobuf text"
    JSON = "JSON"


_SUFFIXES = {
    ".onnxtxt": Format.ONNX_TEXT,
    ".onnxtext": Format.ONNX_TEXT,
    ".txt": Format.ONNX_TEXT,
    ".textproto": Format.PROTOBUF_TEXT,
    ".txtpb": Format.PROTOBUF_TEXT,
    ".prototxt": Format.PROTOBUF_TEXT,
    ".pbtxt": Format.PROTOBUF_TEXT,
    ".json": Format.JSON,
    ".onnxjson": Format.JSON,
}


def format_of(path: Path) -> Format:
    """Tell a file's format by its suffix; an unknown one means protobuf."""
    return _SUFFIXES.get(path.suffix.lower(), Format.PROTOBUF)


def parse(data: bytes, form: Format, path: Path) -> onnx.ModelProto:
    """Parse a text form. Raises ModelError."""
    proto = onnx.ModelProto()
    try:
        if form is Format.JSON:
            google.protobuf.json_format.Parse(data, proto)
        elif form is Format.PROTOBUF_TEXT:
            google.protobuf.text_format.Parse(data, proto)
        else:
            _check_depth(data, path)
            proto = onnx.parser.parse_model(data.decode())
        return proto
    except (
        google.protobuf.json_format.ParseError,
        google.protobuf.text_format.ParseError,
        google.protobuf.message.DecodeError,
        onnx.parser.ParseError,
        ValueError,
        RecursionError,
    ) as error:
        raise ModelError(f"{path}: is not a model in {form.value}: {one_line(error)}") from error


def _check_depth(data: bytes, path: Path) -> None:
    """Refuse text that is nested more deeply than protobuf allows; onnx's parser would crash."""
    depth = 0
    for token in _TOKENS.finditer(data):
        depth += {b"{": 1, b"(": 1, b"}": -1, b")": -1}.get(token[0], 0)
        if depth > _MAX_DEPTH:
            line = data.count(b"\n", 0, token.start()) + 1
            raise ModelError(f"{path}: line {line}: nested more than {_MAX_DEPTH} deep")


def render(proto: onnx.ModelProto, form: Format, path: Path) -> bytes:
    """Write a text form.

    Raises ModelError where the form cannot hold the model, as ONNX text some types of weights.
    """
    text: str
    try:
        if form is Format.JSON:
            text = google.protobuf.json_format.MessageToJson(
                proto, preserving_proto_field_name=True
            )
        elif form is Format.PROTOBUF_TEXT:
            text = google.protobuf.text_format.MessageToString(proto)
        else:
            text = onnx.printer.to_text(proto)
            onnx.parser.parse_model(text)
    except (google.protobuf.message.Error, onnx.parser.ParseError, ValueError) as error:
        raise ModelError(
            f"{path}: {form.value} cannot hold this model; save it as .onnx or .textproto"
        ) from error
    return text.encode()


def one_line(error: BaseException) -> str:
    """Say what went wrong at the root of an error, in one line of bounded length."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
