"""Pools over a whole plane are global; others stay."""

from __future__ import annotations

import pytest

from tests.passes.tools import check, unchanged

GOES = {
    "AveragePool": "AveragePool<kernel_shape=[5,4]>(r)",
    "AveragePool far beyond": """
        AveragePool<kernel_shape=[9,9], strides=[9,9], ceil_mode=1, count_include_pad=1>(r)""",
}
STAYS = {
    "two windows": "AveragePool<kernel_shape=[5,2], strides=[1,2]>(r)",
    "less than all": "AveragePool<kernel_shape=[4,3], strides=[2,2]>(r)",
    "padded": "AveragePool<kernel_shape=[5,4], pads=[0,0,1,1], strides=[4,4]>(r)",
    "a maximum": "MaxPool<kernel_shape=[5,4]>(r)",
    "same": 'AveragePool<kernel_shape=[5,4], strides=[5,4], auto_pad="SAME_UPPER">(r)',
}


@pytest.mark.parametrize("name", GOES)
def test_a_window_over_the_whole_plane_is_none(name: str) -> None:
    text = f"(float[N,3,5,4] x) => (float[N,3,1,1] y) {{ r = Relu(x) y = {GOES[name]} }}"
    check(text, "simplify", ["Relu", "GlobalAveragePool"])


@pytest.mark.parametrize("name", STAYS)
def test_others_stay(name: str) -> None:
    text = f"(float[N,3,5,4] x) => (float[N,3,H,W] y) {{ r = Relu(x) y = {STAYS[name]} }}"
    unchanged(text, "simplify")


def test_a_plane_of_unknown_extent_stays() -> None:
    text = """(float[N,3,H,4] x) => (float[N,3,1,1] y) {
        r = Relu(x) y = AveragePool<kernel_shape=[5,4]>(r) }"""
    unchanged(text, "simplify")
