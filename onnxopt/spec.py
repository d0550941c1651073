"""Options as text: ``name{key=value, other=[a, b]}``, typed by the fields of a frozen dataclass.

Grammar::

    steps   = step ("," step)*
    step    = "repeat" "(" steps ")" | name ["{" [option ("," option)*] "}"]
    option  = key ["=" value]                       a key alone means true
    value   = word | quoted | "[" [value ("," value)*] "]"

A name or word is made of letters, digits and ``_ . : / + -``; anything else is quoted with ``"``.
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

_TOKEN = re.compile(r"\s*(?:(?P<word>[\w.:/+\-]+)|(?P<quoted>\"[^\"]*\")|(?P<sign>[(){}\[\],=]))")


class SpecError(UsageError):
    """A text that cannot be read, with a caret under the place."""

    def __init__(self, text: str, at: int, problem: str) -> None:
        super().__init__(f"{problem}\n  {text}\n  {' ' * at}^")


class Tokens:
    """The words, strings and signs of a text, with one token of look-ahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._items = list(_tokens(text))
        self._next = 0

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


def read_options(tokens: Tokens, kind: type[Any]) -> dict[str, Any]:
    """Read ``{key=value, …}``, where there is one, against the fields of a dataclass."""
    values: dict[str, Any] = {}
    if tokens.peek() != "{":
        return values
    hints = typing.get_type_hints(kind)
    fields = {field.name.replace("_", "-"): field for field in dataclasses.fields(kind)}
    tokens.expect("{")
    while tokens.peek() != "}":
        key = tokens.word("an option").replace("_", "-")
        if key not in fields:
            owner = getattr(kind, "name", kind.__name__)
            tokens.fail(f"'{owner}' has no option '{key}'" + (nearest(key, fields)), back=1)
        raw: Any = "true"
        if tokens.peek() == "=":
            tokens.take()
            raw = _read_value(tokens)
        try:
            values[fields[key].name] = convert(raw, hints[fields[key].name])
        except ValueError as problem:
            tokens.fail(f"option '{key}': {problem}", back=1)
        if tokens.peek() != "}":
            tokens.expect(",")
    tokens.expect("}")
    return values


def _read_value(tokens: Tokens) -> Any:
    if tokens.peek() != "[":
        token = tokens.peek()
        return tokens.take()[1:-1] if token.startswith('"') else tokens.word("a value")
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
        if raw not in arguments:
            raise ValueError(f"expected one of {', '.join(arguments)}, found '{raw}'")
        return raw
    if origin is tuple:
        items = raw if isinstance(raw, list) else [raw]
        return tuple(convert(item, arguments[0]) for item in items)
    if origin in (typing.Union, types.UnionType):
        if raw == "none" and type(None) in arguments:
            return None
        return convert(raw, next(a for a in arguments if a is not type(None)))
    return _convert_plain(raw, hint)


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
    return Path(raw) if hint is Path else raw


def write_options(value: Any) -> str:
    """Return the options of a dataclass that differ from their defaults, as text; "" for none."""
    parts = []
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if found != default:
            parts.append(f"{field.name.replace('_', '-')}={_write(found)}")
    return "{" + ", ".join(parts) + "}" if parts else ""


def _write(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_write(item) for item in value) + "]"
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    text = str(value)
    return text if re.fullmatch(r"[\w.:/+\-]+", text) else f'"{text}"'
