"""Convolutions and pools, counted by walking over every tap."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.costs.models import cost

AXIS = st.tuples(st.integers(1, 3), st.integers(0, 3), st.integers(1, 2))
"""Kernel, how much longer the axis is, stride."""


def products(x: tuple[int, ...], w: tuple[int, ...], group: int, strides: tuple[int, ...]) -> int:
    """Count the products of a convolution without padding, one by one."""
    outs = [(n - k) // s + 1 for n, k, s in zip(x[2:], w[2:], strides, strict=True)]
    count = 0
    for _, m, *_ in itertools.product(range(x[0]), range(w[0]), *map(range, outs)):
        first = m // (w[0] // group) * w[1]
        for channel, *_ in itertools.product(range(first, first + w[1]), *map(range, w[2:])):
            assert channel < x[1]
            count += 1
    return count


@given(
    st.integers(1, 2),
    st.integers(1, 2),
    st.integers(1, 2),
    st.integers(1, 2),
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 3), st.integers(1, 2)), min_size=1, max_size=2
    ),
)
def test_conv(n: int, group: int, depth: int, wide: int, axes: list[tuple[int, int, int]]) -> None:
    kernel = tuple(k for k, _, _ in axes)
    x = (n, group * depth, *(k + more for k, more, _ in axes))
    w = (group * wide, depth, *kernel)
    strides = tuple(s for _, _, s in axes)
    call = f"y = Conv <group = {group}, strides = {list(strides)}> (x, w)"
    row = cost(f"float{list(x)} x, float{list(w)} w", call)
    assert row.macs == products(x, w, group, strides)
    assert row.read_bytes == 4 * (np.prod(x) + np.prod(w))


def test_a_bias_adds_once_to_each_output() -> None:
    inputs = "float[1,3,8,8] x, float[4,3,3,3] w, float[4] b"
    row = cost(inputs, "y = Conv <pads = [1,1,1,1]> (x, w, b)")
    assert (row.macs, row.ops) == (8 * 8 * 4 * 3 * 9, 8 * 8 * 4)
    assert row.written_bytes == 4 * 4 * 64


def test_a_transposed_convolution_spreads_every_input() -> None:
    call = "y = ConvTranspose <strides = [2,2]> (x, w)"
    row = cost("float[1,3,5,5] x, float[3,4,2,2] w", call)
    assert row.macs == 25 * 3 * 4 * 4
    assert row.written_bytes == 4 * 4 * 100


@pytest.mark.parametrize(
    ("inputs", "call"),
    [
        ("uint8[1,3,8,8] x, uint8[4,3,3,3] w", "y = ConvInteger (x, w)"),
        (
            "uint8[1,3,8,8] x, float s, uint8 z, int8[4,3,3,3] w, int8 v",
            "y = QLinearConv (x, s, z, w, s, v, s, z)",
        ),
        (
            "float[1,3,8,8] x, float[4,3,3,3] w",
            'y = com.microsoft.FusedConv <activation = "Relu"> (x, w)',
        ),
    ],
)
def test_other_convolutions(inputs: str, call: str) -> None:
    assert cost(inputs, call).macs == 36 * 4 * 27


def test_pools_compare_and_add() -> None:
    shape, window = "float[1,2,8,8] x", "<kernel_shape = [2,2], strides = [2,2]>"
    assert cost(shape, f"y = MaxPool {window} (x)").ops == 2 * 16 * 4
    assert cost(shape, f"y = AveragePool {window} (x)").ops == 2 * 16 * 5
    assert cost(shape, "y = GlobalAveragePool (x)").ops == 2 * 64 + 2
    assert cost(shape, "y = GlobalAveragePool (x)").macs == 0


def test_resizing_interpolates_along_what_changes() -> None:
    scales = "s = Constant <value = float[4] {1.0, 1.0, 2.0, 1.0}> ()"
    linear = f'{scales} y = Resize <mode = "linear"> (x, , s)'
    assert cost("float[1,2,4,4] x", linear).ops == 2 * 8 * 4 * 2 * 2
    assert cost("float[1,2,4,4] x", f"{scales} y = Resize (x, , s)").ops == 0
