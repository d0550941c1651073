"""Text from models and paths, which may hold anything, made fit for a page."""

from __future__ import annotations

import unicodedata

_SUBSTITUTE = "\N{REPLACEMENT CHARACTER}"
_UNPRINTABLE = {"Cc", "Cf", "Cs"}
_SPACES = {"\n", "\t"}
_JOINERS = {"\N{ZERO WIDTH JOINER}", "\N{ZERO WIDTH NON-JOINER}"}
"""Some scripts cannot be written without them."""


def clean(text: str) -> str:
    """Return text without characters that steer a page instead of standing on it.

    Controls, lone surrogates and marks that turn the direction of writing are replaced.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_fit(character) for character in text)


def _fit(character: str) -> str:
    if character in _SPACES or character in _JOINERS:
        return character
    return _SUBSTITUTE if unicodedata.category(character) in _UNPRINTABLE else character


def shorten(text: str, most: int) -> str:
    """Return text on one line with its middle left out where it is too long.

    The ends of names tell most.
    """
    line = " ".join(clean(text).split())
    if len(line) <= most:
        return line
    head = (most - 1) // 3
    return f"{line[:head]}…{line[head + 1 - most :]}"


def legend(text: str) -> str:
    """Return a short text for a legend, where matplotlib drops names that begin with ``_``."""
    line = shorten(text, 40)
    return f"\N{NO-BREAK SPACE}{line}" if line.startswith("_") else line or "(no name)"
