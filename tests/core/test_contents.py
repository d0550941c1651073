"""``Contents``: amounts of models of all types of weights."""

from __future__ import annotations

import onnx_ir as ir
from onnx import parser

from onnxopt.contents import Contents


def test_texts_among_the_weights_count_by_their_bytes() -> None:
    model = parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 17]> '
        'g () => (string[2] y) <string[2] s = {"ab", "c"}> { y = Identity(s) }'
    )
    found = Contents.of(ir.from_proto(model))
    assert (found.params, found.weight_bytes, found.zeros) == (2, 3, 0)
    assert found.compressed_bytes > 0
