"""Options as text: ``name{key=value, other=[a, b]}``, typed by the fields of a frozen dataclass.

Grammar::

    steps   = step ("," step)*
    step    = "repeat" "(" steps ")" | name ["{" [option ("," option)*] "}"]
    option  = key ["=" value]                       a key alone means true
    value   = word | quoted | "[" [value ("," value)*] "]"

A name or word is made of letters, digits and ``_ . : / + -``; anything else is quoted with ``"``,
inside of which a backslash comes before ``"`` and before itself. ``none`` unquoted is None.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from onnxopt.errors import UsageError

_WORD = r"[\w.:/+\-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(rf"\s*(?:(?P<word>{_WORD})|(?P<quoted>{_QUOTED})|(?P<sign>[(){{}}\[\],=]))")


class SpecError(UsageError):
    """A text that cannot be read, with a caret under the place."""

    def __init__(self, text: str, at: int, problem: str) -> None:
        line = re.sub(r"\s", " ", text)
        super().__init__(f"{problem}\n  {line}\n  {' ' * at}^")


class _Quoted(str):
    """A text that was in quotes: nothing in it has a meaning of its own."""


class Tokens:
    """The words, strings and signs of a text, with one token of look-ahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._items = list(_tokens(text))
        self._next = 0

    @property
    def position(self) -> int:
        """The number of tokens gone past."""
        return self._next

    def peek(self) -> str:
        """Return the next token, "" at the end."""
        return self._items[self._next][0] if self._next < len(self._items) else ""

    def take(self) -> str:
        """Return the next token and go past it."""
        token = self.peek()
        self._next += 1
        return token

    def expect(self, sign: str) -> None:
        """Go past a sign that must come next."""
        if self.peek() != sign:
            self.fail(f"expected '{sign}'" + (f", found '{self.peek()}'" if self.peek() else ""))
        self._next += 1

    def word(self, what: str) -> str:
        """Return the next token, which must be a word."""
        token = self.peek()
        if not token or token[0] in '(){}[],="':
            self.fail(f"expected {what}" + (f", found '{token}'" if token else ""))
        return self.take()

    def fail(self, problem: str, back: int = 0) -> typing.NoReturn:
        """Raise a SpecError that points at the next token, or at one before it."""
        index = self._next - back
        at = self._items[index][1] if index < len(self._items) else len(self.text)
        raise SpecError(self.text, at, problem)


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            raise SpecError(text, start, f"unexpected character '{text[start]}'")
        kind = found.lastgroup or "word"
        yield found.group(kind), found.start(kind)
        at = found.end()


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ", did you mean …?" with the most alike of the known names, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else ""


def read_options(tokens: Tokens, kind: type[Any], owner: str) -> dict[str, Any]:
    """Read ``{key=value, …}``, where there is one, against the fields of a dataclass.

    ``owner`` is what errors call it.
    """
    fields = {field.name.replace("_", "-"): field for field in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for key in _keys(tokens):
        if key not in fields:
            tokens.fail(f"'{owner}' has no option '{key}'{nearest(key, fields)}", back=1)
        name = fields[key].name
        if name in values:
            tokens.fail(f"option '{key}' is given twice", back=1)
        start = tokens.position + 1 if tokens.peek() == "=" else tokens.position - 1
        raw = _read_given(tokens)
        try:
            values[name] = convert(raw, typing.get_type_hints(kind)[name])
        except ValueError as problem:
            tokens.fail(f"option '{key}': {problem}", back=tokens.position - start)
    for key, field in fields.items():
        if field.name not in values and _required(field):
            tokens.fail(f"'{owner}' needs a value for its option '{key}'", back=1)
    return values


def _keys(tokens: Tokens) -> Iterator[str]:
    """Yield the keys of ``{key=value, …}``; whoever asks reads the values in between."""
    if tokens.peek() != "{":
        return
    tokens.take()
    while tokens.peek() != "}":
        yield tokens.word("an option").replace("_", "-")
        if tokens.peek() != "}":
            tokens.expect(",")
    tokens.take()


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def _read_given(tokens: Tokens) -> Any:
    if tokens.peek() != "=":
        return "true"
    tokens.take()
    return _read_value(tokens)


def _read_value(tokens: Tokens) -> Any:
    if tokens.peek() != "[":
        token = tokens.peek()
        if token.startswith('"'):
            return _Quoted(re.sub(r"\\(.)", r"\1", tokens.take()[1:-1]))
        return tokens.word("a value")
    tokens.take()
    items = []
    while tokens.peek() != "]":
        items.append(_read_value(tokens))
        if tokens.peek() != "]":
            tokens.expect(",")
    tokens.take()
    return items


def convert(raw: Any, hint: Any) -> Any:
    """Turn text into a value of an annotated type; ValueError says what was expected."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        known = {str(choice): choice for choice in arguments}
        if not isinstance(raw, str) or raw not in known:
            raise ValueError(f"expected one of {', '.join(known)}, found {_found(raw)}")
        return known[raw]
    if origin is tuple:
        return _convert_items(raw if isinstance(raw, list) else [raw], arguments)
    if origin in (typing.Union, types.UnionType):
        return _convert_either(raw, arguments)
    return _convert_plain(raw, hint)


def _convert_items(items: list[Any], kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(items)
    if len(items) != len(kinds):
        raise ValueError(f"expected {len(kinds)} values, found {len(items)}")
    return tuple(convert(item, kind) for item, kind in zip(items, kinds, strict=True))


def _convert_either(raw: Any, kinds: tuple[Any, ...]) -> Any:
    """Return the value as the first kind that it fits."""
    if type(None) in kinds and raw == "none" and not isinstance(raw, _Quoted):
        return None
    *others, last = [kind for kind in kinds if kind is not type(None)]
    for kind in others:
        try:
            return convert(raw, kind)
        except ValueError:
            continue
    return convert(raw, last)


def _found(raw: Any) -> str:
    return "a list" if isinstance(raw, list) else f"'{raw}'"


def _convert_plain(raw: Any, hint: Any) -> Any:
    if isinstance(raw, list):
        raise ValueError("expected one value, found a list")
    if hint is bool:
        if raw not in ("true", "false"):
            raise ValueError(f"expected true or false, found '{raw}'")
        return raw == "true"
    if hint in (int, float):
        try:
            return hint(raw)
        except ValueError:
            kind = "a whole number" if hint is int else "a number"
            raise ValueError(f"expected {kind}, found '{raw}'") from None
    return Path(raw) if hint is Path else str(raw)


def write_options(value: Any) -> str:
    """Return the options of a dataclass that differ from their defaults, as text; "" for none."""
    parts = []
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if found != default:
            parts.append(f"{field.name.replace('_', '-')}={write_value(found)}")
    return "{" + ", ".join(parts) + "}" if parts else ""


def write_value(value: Any) -> str:
    """Return the value of an option as text."""
    if isinstance(value, tuple):
        return "[" + ", ".join(write_value(item) for item in value) + "]"
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    text = str(value)
    if re.fullmatch(_WORD, text) and text != "none":
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
