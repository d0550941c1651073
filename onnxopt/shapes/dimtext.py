"""Dimensions from the text that a model names them by."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from onnxopt.shapes.bounds import maximum, minimum
from onnxopt.shapes.dim import Dim, exact_div, floor_div, raw, symbol, weight

if TYPE_CHECKING:
    from onnxopt.shapes.dim import Size

_TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z_][\w.]*)|(\*\*|//|[-+*/%(),]))")
_SIMPLE = re.compile(r"[A-Za-z_][\w.]*\Z", re.ASCII)
_EXPRESSION = re.compile(r"[\w.\s*/%(),+-]{1,1000}\Z", re.ASCII)


class _UnreadableError(Exception):
    pass


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Size | None:
    """Read a dimension's text; None where it says nothing (empty, ``?``, ``None``, a number).

    Text that is no expression over identifiers names an extent of its own, as ONNX has it.
    """
    stripped = text.strip()
    if stripped in ("", "?", "None", "-1"):
        return None
    if _SIMPLE.match(stripped):
        return symbol(stripped)
    if not _EXPRESSION.match(stripped) or re.search(r"[A-Za-z_0-9)][-+][A-Za-z_]", stripped):
        return raw(text)
    try:
        size = _Reader(stripped).read()
    except (_UnreadableError, ZeroDivisionError, RecursionError):
        return raw(text)
    return size if isinstance(size, Dim) else None


def light(size: Size) -> Size:
    """Return the size, unless it is a bomb."""
    if weight(size) > 4000:
        raise _UnreadableError
    return size


class _Reader:
    """Recursive descent over ``+ - * // % / ( )``, ``**`` and the functions of `_FUNCTIONS`."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise _UnreadableError
            self.tokens.append(match.group().strip())
            position = match.end()
        self.tokens.append("")
        self.at = 0

    def read(self) -> Size:
        size = self.sum()
        if self.tokens[self.at]:
            raise _UnreadableError
        return size

    def take(self, *wanted: str) -> str:
        token = self.tokens[self.at]
        if token and token in wanted:
            self.at += 1
            return token
        return ""

    def need(self, token: str) -> None:
        if not self.take(token):
            raise _UnreadableError

    def sum(self) -> Size:
        total: Size = -self.product() if self.take("-") else self.product()
        while sign := self.take("+", "-"):
            term = self.product()
            total = total + term if sign == "+" else total - term
        return total

    def product(self) -> Size:
        total = self.power()
        while sign := self.take("*", "//", "%", "/"):
            factor = self.power()
            if sign == "*":
                total = light(total * factor)
            elif sign == "//":
                total = floor_div(total, factor)
            elif sign == "%":
                total = total % factor
            else:
                total = self.divide(total, factor)
        return total

    def divide(self, a: Size, b: Size) -> Size:
        quotient = exact_div(a, b)
        if quotient is None:
            raise _UnreadableError
        return quotient

    def power(self) -> Size:
        base = self.factor()
        if not self.take("**"):
            return base
        exponent = self.tokens[self.at]
        if not exponent.isdigit() or not 0 < int(exponent) <= 16:
            raise _UnreadableError
        self.at += 1
        result = base
        for _ in range(int(exponent) - 1):
            result = light(result * base)
        return result

    def factor(self) -> Size:
        token = self.tokens[self.at]
        self.at += 1
        if token.isdigit():
            return int(token)
        if token == "(":
            size = self.sum()
            self.need(")")
            return size
        if not _SIMPLE.match(token):
            raise _UnreadableError
        if self.take("("):
            return self.call(token.lower())
        return symbol(token)

    def call(self, function: str) -> Size:
        if function in ("floor", "ceil", "ceiling"):
            return self.rounded(up=function != "floor")
        args = [self.sum()]
        while self.take(","):
            args.append(self.sum())
        self.need(")")
        if function == "max":
            return maximum(*args)
        if function == "min":
            return minimum(*args)
        if function == "mod" and len(args) == 2:
            return args[0] % args[1]
        raise _UnreadableError

    def rounded(self, up: bool) -> Size:
        """Read ``a/b)``, the one place where a quotient need not be whole."""
        above = self.rounded_numerator()
        if self.take("/"):
            below = self.power()
            self.need(")")
            return floor_div(above + below - 1 if up else above, below)
        self.need(")")
        return above

    def rounded_numerator(self) -> Size:
        total: Size = -self.power() if self.take("-") else self.power()
        while self.take("*"):
            total = light(total * self.power())
        while sign := self.take("+", "-"):
            term = self.product()
            total = total + term if sign == "+" else total - term
        return total
