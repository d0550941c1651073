"""Pad into the convolution or pooling after it."""

from __future__ import annotations

import math

import pytest

from tests.passes.tools import check
from tests.passes.weights import ints, model, normal, number

PAD = ints(0, 0, 1, 0, 0, 0, 2, 1)
POOL = "kernel_shape=[3,3]"


@pytest.mark.parametrize(
    ("pad", "opset"),
    [
        ("Pad(x, p)", 11),
        ("Pad(x, p, z)", 18),
        ("Pad(x, q, z, axes)", 18),
        ("Pad<pads=[0,0,1,0,0,0,2,1]>(x)", 10),
    ],
)
@pytest.mark.parametrize("own", ["", '<auto_pad="VALID">', "<pads=[0,1,2,0]>"])
def test_zeros_before_a_convolution(pad: str, own: str, opset: int) -> None:
    graph = model(
        f"(float[N,4,5,5] x) => (float[N,6,H,W] y) {{ c = {pad} y = Conv{own}(c, w) }}",
        {
            "w": normal(6, 4, 3, 3),
            "p": PAD,
            "q": ints(1, 0, 2, 1),
            "axes": ints(2, -1),
            "z": number(0),
        },
        opset=opset,
    )
    check(graph, "fuse", ["Conv"])


@pytest.mark.parametrize(
    ("pad", "own"),
    [
        ("Pad(x, p, one)", ""),
        ('Pad<mode="edge">(x, p)', ""),
        ("Pad(x, crop)", ""),
        ("Pad(x, p)", '<auto_pad="SAME_UPPER">'),
    ],
)
def test_other_padding_stays(pad: str, own: str) -> None:
    graph = model(
        f"(float[N,4,5,5] x) => (float[N,6,H,W] y) {{ c = {pad} y = Conv{own}(c, w) }}",
        {
            "w": normal(6, 4, 3, 3),
            "p": PAD,
            "crop": ints(0, 0, -1, 0, 0, 0, 0, 0),
            "one": number(1),
        },
    )
    check(graph, "fuse", ["Pad", "Conv"])


def test_padded_channels_stay() -> None:
    graph = model(
        "(float[N,3,5,5] x) => (float[N,6,H,W] y) { c = Pad(x, p) y = Conv(c, w) }",
        {"w": normal(6, 4, 3, 3), "p": ints(0, 1, 0, 0, 0, 0, 0, 0)},
    )
    check(graph, "fuse", ["Pad", "Conv"])


@pytest.mark.parametrize(
    ("pool", "fits"),
    [
        (f"AveragePool<{POOL}>(c)", True),
        (f"AveragePool<{POOL}, pads=[0,1,0,0], count_include_pad=1>(c)", True),
        (f"AveragePool<{POOL}, pads=[0,1,0,0]>(c)", False),
        (f"AveragePool<{POOL}, ceil_mode=1, strides=[2,2]>(c)", False),
        ("AveragePool<kernel_shape=[2,2]>(c)", False),
        (f"MaxPool<{POOL}>(c)", False),
    ],
)
def test_zeros_before_a_pool(pool: str, *, fits: bool) -> None:
    graph = model(
        f"(float[N,4,5,5] x) => (float[N,4,H,W] y) {{ c = Pad(x, p) y = {pool} }}", {"p": PAD}
    )
    kind = pool.partition("<")[0]
    check(graph, "fuse", [kind] if fits else ["Pad", kind])


def test_the_lowest_number_before_a_maximum() -> None:
    graph = model(
        f"(float[N,4,5,5] x) => (float[N,4,H,W] y) {{ c = Pad(x, p, z) y = MaxPool<{POOL}>(c) }}",
        {"p": PAD, "z": number(-math.inf)},
    )
    check(graph, "fuse", ["MaxPool"])
