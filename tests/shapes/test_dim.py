"""Dimensions compute what integers compute, and equal ones are equal."""

from __future__ import annotations

import operator
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxopt.shapes import Dim, parse_dim
from onnxopt.shapes.bounds import at_least, lower, maximum, minimum
from onnxopt.shapes.dim import exact_div, floor_div, hidden, raw, symbol

NAMES = ("a", "b", "seq")
Size = int | Dim
Extents = dict[str, int]
Pair = tuple[Size, Callable[[Extents], int]]


def evaluate(size: Size, extents: Extents) -> int:
    return size if isinstance(size, int) else size.evaluate(extents)


def combine(name: str, left: Pair, right: Pair) -> Pair:
    """Return the symbolic result, and how to compute the same on plain integers."""
    symbolic: dict[str, Callable[[Size, Size], Size]] = {
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "max": maximum,
        "min": minimum,
    }
    plain: dict[str, Callable[[int, int], int]] = {
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "max": max,
        "min": min,
    }
    on_sizes, on_integers = symbolic[name], plain[name]
    return on_sizes(left[0], right[0]), lambda env: on_integers(left[1](env), right[1](env))


def divide(name: str, left: Pair, divisor: int) -> Pair:
    if name == "//":
        return floor_div(left[0], divisor), lambda env: left[1](env) // divisor
    return left[0] % divisor, lambda env: left[1](env) % divisor


def leaf(name: str) -> Pair:
    return symbol(name), lambda env: env[name]


def constant(number: int) -> Pair:
    return number, lambda env: number


leaves = st.one_of(
    st.sampled_from(NAMES).map(leaf),
    st.integers(-9, 9).map(constant),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(combine, st.sampled_from(["+", "-", "*", "max", "min"]), inner, inner),
        st.builds(divide, st.sampled_from(["//", "%"]), inner, st.integers(1, 9)),
    ),
    max_leaves=8,
)
environments = st.fixed_dictionaries({name: st.integers(0, 50) for name in NAMES})


@settings(max_examples=400, deadline=None)
@given(trees, st.lists(environments, min_size=3, max_size=3))
def test_a_dim_evaluates_to_what_integers_give(pair: Pair, worlds: list[Extents]) -> None:
    size, plain = pair
    for world in worlds:
        assert evaluate(size, world) == plain(world)


@settings(max_examples=400, deadline=None)
@given(trees)
def test_text_is_read_back_as_the_same_dim(pair: Pair) -> None:
    size = pair[0]
    if isinstance(size, Dim) and len(str(size)) < 900:
        assert parse_dim(str(size)) == size


@settings(max_examples=200, deadline=None)
@given(trees, trees)
def test_an_exact_quotient_times_the_divisor_is_the_dividend(a: Pair, b: Pair) -> None:
    quotient = exact_div(a[0] * b[0], b[0])
    assert b[0] == 0 or quotient == a[0]


@settings(max_examples=300, deadline=None)
@given(trees, trees, environments)
def test_bounds_hold(a: Pair, b: Pair, world: Extents) -> None:
    low = lower(a[0])
    assert low is None or evaluate(a[0], world) >= low
    if at_least(a[0], b[0]):
        assert evaluate(a[0], world) >= evaluate(b[0], world)


@settings(max_examples=200, deadline=None)
@given(trees, trees, trees)
def test_laws_of_arithmetic_hold_as_equality(a: Pair, b: Pair, c: Pair) -> None:
    x, y, z = a[0], b[0], c[0]
    assert x + y == y + x
    assert (x + y) * z == x * z + y * z
    assert x - x == 0
    assert hash(x + y) == hash(y + x)
    assert maximum(x, y) == maximum(y, x)


H, S = symbol("h"), symbol("s")


@pytest.mark.parametrize("extreme", [maximum, minimum])
def test_of_sizes_that_are_equal_the_same_one_stays(extreme: Callable[..., Size]) -> None:
    nothing = floor_div(minimum(S, 1), 2)
    assert extreme(0, nothing) == extreme(nothing, 0) == 0


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (2 * S + 1, "2*s + 1"),
        (floor_div(H - 1, 2) + 1, "floor((h + 1)/2)"),
        (floor_div(floor_div(H, 2) + 1, 2), "floor((h + 2)/4)"),
        (H % 8, "h - 8*floor(h/8)"),
        (maximum(S - 1, 0), "max(0, s - 1)"),
        (maximum(S + 1, S, 1), "s + 1"),
        (minimum(S + 1, S), "s"),
        (exact_div(12 * H * S + 24 * H, H), "12*s + 24"),
        (floor_div(H * S, S + 1), "floor(h*s/(s + 1))"),
    ],
)
def test_canonical_forms(size: Size, text: str) -> None:
    assert str(size) == text


@pytest.mark.parametrize("text", ["", "?", "None", "-1", "3"])
def test_text_that_says_nothing_is_unknown(text: str) -> None:
    assert parse_dim(text) is None


@pytest.mark.parametrize("text", ["batch-size", "a b", "N:1", "é", "a/2", "f(x)", "(a", "1x"])
def test_other_text_names_an_extent_of_its_own(text: str) -> None:
    assert parse_dim(text) == raw(text)
    assert str(parse_dim(text)) == text


def test_expressions_as_torch_writes_them() -> None:
    assert parse_dim("((s//2)) + 1") == floor_div(S, 2) + 1
    assert parse_dim("Max(1, s)") == maximum(1, S)
    assert parse_dim("Mod(s, 3)") == S % 3
    assert parse_dim("ceiling(s/3)") == floor_div(S + 2, 3)


def test_a_bomb_is_a_name() -> None:
    text = "(a + b + c + d + e + f + g)**16 * (a + b + c + d)**16"
    assert parse_dim(text) == raw(text)
    assert isinstance(parse_dim("(" * 900), Dim)


def test_unnamed_extents_are_equal_to_themselves_only_and_are_not_written() -> None:
    one, two = object(), object()
    assert hidden(one, "x", 0) == hidden(one, "x", 0)
    assert hidden(one, "x", 0) != hidden(two, "x", 0)
    size = hidden(one, "x", 0) * 2
    assert isinstance(size, Dim)
    assert not size.writable
    assert not (raw("a b") * 2).writable  # type: ignore[union-attr]
    assert raw("a b").writable
