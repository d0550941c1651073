"""Options as text: typed, quoted, and wrong ones pointed at."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxopt.base import Pass
from onnxopt.spec import SpecError, Tokens, read_options, write_options


class Many(Pass):
    """An option of every type."""

    flag: bool = False
    count: int = 3
    ratio: float = 0.5
    mode: Literal["slow", "fast"] = "slow"
    bits: Literal[4, 8] = 8
    sizes: tuple[int, ...] = ()
    pair: tuple[str, int] = ("a", 1)
    nested: tuple[tuple[int, ...], ...] = ()
    file: Path | None = None
    label: str = "plain"
    remark: str | None = None
    either: int | str = 0
    some_words: tuple[str, ...] = ("x",)


class Needy(Pass):
    """An option without a default."""

    at: str


def read(text: str, kind: type[Pass] = Many) -> Pass:
    return kind(**read_options(Tokens(text), kind, "many"))


def words() -> st.SearchStrategy[str]:
    return st.text(st.characters(blacklist_categories=["C", "Z"]) | st.just(" "), max_size=8)


OPTIONS = st.builds(
    Many,
    flag=st.booleans(),
    count=st.integers(),
    ratio=st.floats(allow_nan=False),
    mode=st.sampled_from(("slow", "fast")),
    bits=st.sampled_from((4, 8)),
    sizes=st.lists(st.integers(), max_size=3).map(tuple),
    pair=st.tuples(words(), st.integers()),
    nested=st.lists(st.lists(st.integers(), max_size=2).map(tuple), max_size=2).map(tuple),
    file=st.none() | st.sampled_from(["a b", "/x/y.npz", "none"]).map(Path),
    label=words(),
    remark=st.none() | st.just("none") | words(),
    either=st.integers() | st.sampled_from(["x", "a b"]),
    some_words=st.lists(words(), max_size=3).map(tuple),
)


@settings(max_examples=150, deadline=None)
@given(OPTIONS)
def test_what_is_written_is_read_back(value: Many) -> None:
    text = write_options(value)
    assert read(text) == value
    assert write_options(read(text)) == text


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("{flag}", "flag", True),
        ("{flag=true}", "flag", True),
        ("{count=-7}", "count", -7),
        ("{ratio=1e-3}", "ratio", 1e-3),
        ("{ratio=2}", "ratio", 2.0),
        ("{ratio=inf}", "ratio", math.inf),
        ("{mode=fast}", "mode", "fast"),
        ("{bits=4}", "bits", 4),
        ("{sizes=[1,2, 3]}", "sizes", (1, 2, 3)),
        ("{sizes=4}", "sizes", (4,)),
        ("{sizes=[]}", "sizes", ()),
        ("{pair=[b, 2]}", "pair", ("b", 2)),
        ("{nested=[[1], [2, 3]]}", "nested", ((1,), (2, 3))),
        ("{file=a/b.npz}", "file", Path("a/b.npz")),
        ("{file=none}", "file", None),
        ('{label="a, b"}', "label", "a, b"),
        ('{label=""}', "label", ""),
        (r'{label="say \"no\" \\ yes"}', "label", r'say "no" \ yes'),
        ('{remark="none"}', "remark", "none"),
        ("{either=5}", "either", 5),
        ("{either=five}", "either", "five"),
        ("{some-words=[a]}", "some_words", ("a",)),
        ("{some_words=[a],}", "some_words", ("a",)),
    ],
)
def test_options_have_types(text: str, field: str, value: object) -> None:
    found = getattr(read(text), field)
    assert found == value
    assert type(found) is type(value) or isinstance(found, Path | str)


@pytest.mark.parametrize(
    ("text", "problem", "at"),
    [
        ("{count=many}", "option 'count': expected a whole number, found 'many'", "many"),
        ("{count=1.5}", "option 'count': expected a whole number, found '1.5'", "1.5"),
        ("{count}", "option 'count': expected a whole number, found 'true'", "count"),
        ("{count=[1]}", "option 'count': expected one value, found a list", "[1]"),
        ("{ratio=x}", "option 'ratio': expected a number, found 'x'", "x"),
        ("{flag=yes}", "option 'flag': expected true or false, found 'yes'", "yes"),
        ("{mode=quick}", "option 'mode': expected one of slow, fast, found 'quick'", "quick"),
        ("{mode=[fast]}", "option 'mode': expected one of slow, fast, found a list", "[fast]"),
        ("{bits=5}", "option 'bits': expected one of 4, 8, found '5'", "5"),
        ("{pair=[b]}", "option 'pair': expected 2 values, found 1", "[b]"),
        ("{sizes=[1, b]}", "option 'sizes': expected a whole number, found 'b'", "[1"),
        ("{flags=true}", "'many' has no option 'flags', did you mean 'flag'?", "flags"),
        ("{flag, flag=false}", "option 'flag' is given twice", "flag=false"),
        ("{flag=}", "expected a value, found '}'", "}"),
        ("{=1}", "expected an option, found '='", "="),
        ("{flag count=1}", "expected ',', found 'count'", "count"),
        ("{flag", "expected ','", ""),
        ("{sizes=[1", "expected ','", ""),
        ("{label=a b}", "expected ',', found 'b'", "b}"),
        ("{label=a%b}", "unexpected character '%'", "%"),
        ('{label="a}', "unexpected character '\"'", '"'),
    ],
)
def test_a_caret_points_at_what_is_wrong(text: str, problem: str, at: str) -> None:
    with pytest.raises(SpecError) as raised:
        read(text)
    said, shown, caret = str(raised.value).split("\n")
    assert said == problem
    assert shown == f"  {text}"
    assert caret == " " * (2 + (text.rindex(at) if at else len(text))) + "^"


def test_an_option_without_a_default_must_be_given() -> None:
    assert read("{at=here}", Needy) == Needy(at="here")
    with pytest.raises(SpecError, match="needs a value for its option 'at'"):
        read("{}", Needy)


def test_a_text_of_several_lines_keeps_its_columns() -> None:
    with pytest.raises(SpecError) as raised:
        read("{flag,\n\tcount=x}")
    _, shown, caret = str(raised.value).split("\n")
    assert shown == "  {flag,  count=x}"
    assert shown[caret.index("^")] == "x"
