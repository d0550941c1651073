"""Small models from text."""

from __future__ import annotations

import onnx
import onnx_ir as ir


def parse(text: str) -> ir.Model:
    """Read a model, or the graph of one of opset 17, in ONNX's textual syntax."""
    if not text.lstrip().startswith("<"):
        text = '<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]>\n' + text
    return ir.from_proto(onnx.parser.parse_model(text))


def value(model: ir.Model, name: str) -> ir.Value:
    """Find a value of the main graph by name."""
    for node in model.graph:
        for output in node.outputs:
            if output.name == name:
                return output
    raise AssertionError(f"no value {name}")
