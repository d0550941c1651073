"""What targets are foretold to compute on integers."""

from __future__ import annotations

import numpy as np

from onnxopt.inspection import Foretold, inspect
from tests.passes import weights

BODY = """
  a = DequantizeLinear (i, s, z)
  w = DequantizeLinear (k, s, e)
  c = Conv <kernel_shape = [1,1]> (a, w)
  q = QuantizeLinear (c, s, z)
  d = DequantizeLinear (q, s, z)
  v = DequantizeLinear (m, s, e)
  y = Conv <kernel_shape = [1,1]> (d, v)
"""


def of(body: str) -> tuple[Foretold, ...]:
    tensors: dict[str, weights.Array] = {
        "k": np.ones((3, 4, 1, 1), np.int8),
        "m": np.ones((2, 3, 1, 1), np.int8),
        "s": np.array(0.1, np.float32),
        "z": np.array(3, np.uint8),
        "e": np.array(0, np.int8),
    }
    text = f"(uint8[1,4,5,5] i) => (float[1,2,5,5] y) {{ {body} }}"
    return inspect(weights.model(text, tensors, opset=21)).foretold


def test_every_target_with_integer_kernels_is_foretold() -> None:
    rows = {row.target: row for row in of(BODY)}
    assert set(rows) >= {"cpu", "openvino"}
    macs = 3 * 4 * 25, 2 * 3 * 25
    assert (rows["openvino"].nodes, rows["openvino"].macs) == (2, sum(macs))
    assert (rows["cpu"].nodes, rows["cpu"].of_nodes) == (1, 2)
    assert (rows["cpu"].macs, rows["cpu"].of_macs) == (macs[0], sum(macs))


def test_nothing_is_foretold_of_a_float_model() -> None:
    assert (
        of(
            "f = Cast <to = 1> (i) w = Cast <to = 1> (k) c = Conv (f, w) "
            "v = Cast <to = 1> (m) y = Conv (c, v)"
        )
        == ()
    )
