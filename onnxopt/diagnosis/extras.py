"""Optional parts of onnxopt: which are there, and whether what they need is new enough."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from typing import NamedTuple

from onnxopt.diagnosis.finding import Finding
from onnxopt.diagnosis.system import System, normal

_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[^]]*\])?\s*([^;]*?)\s*(?:;(.*))?")
_EXTRA = re.compile(r"""extra\s*==\s*["']([\w-]+)["']""")
_NOT_OFFERED = {"dev"}
_RUNTIMES = {"cpu", "gpu"}
"""Extras that exclude each other: the packages say which one there is."""


class Need(NamedTuple):
    """A package that a part of onnxopt needs."""

    extra: str
    """Empty for what onnxopt cannot do without."""
    name: str
    versions: str


def needs(system: System) -> list[Need]:
    """Return what the installed onnxopt says it needs."""
    own = system.distributions().get("onnxopt")
    found = []
    for text in (own.requires or []) if own is not None else []:
        parsed = _REQUIREMENT.fullmatch(text)
        if parsed is not None:
            extra = _EXTRA.search(parsed.group(3) or "")
            name = normal(parsed.group(1))
            found.append(Need(extra.group(1) if extra else "", name, parsed.group(2)))
    return found


def check(system: System) -> Iterator[Finding]:
    """Tell which extras are complete, and what is too old."""
    there = system.distributions()
    wanted = needs(system)
    for need in wanted:
        if need.name in there and not _fits(there[need.name], need):
            yield Finding(
                topic="extras",
                severity="warning",
                text=f"{need.name} {there[need.name].version} is not {need.versions}",
                meaning=f"onnxopt{f'[{need.extra}]' if need.extra else ''} was made for that",
                remedy=f'pip install "{need.name}{need.versions}"',
            )
    for extra in dict.fromkeys(need.extra for need in wanted if need.extra):
        if extra not in _NOT_OFFERED | _RUNTIMES:
            yield _extra(extra, [need for need in wanted if need.extra == extra], set(there))


def _extra(extra: str, needs: list[Need], there: set[str]) -> Finding:
    names = [need.name for need in needs]
    absent = [name for name in names if name not in there]
    if not absent:
        return Finding(topic="extras", severity="ok", text=f"{extra}: {', '.join(names)}")
    wanted = " ".join(f'"{need.name}{need.versions}"' for need in needs if need.name in absent)
    return Finding(
        topic="extras",
        severity="ok",
        text=f"{extra}: {', '.join(absent)} not installed",
        remedy=f"pip install {wanted}",
    )


def _fits(distribution: importlib.metadata.Distribution, need: Need) -> bool:
    """Compare versions, where the library for that is there, as it is beside ONNX Runtime."""
    if not need.versions or importlib.util.find_spec("packaging") is None:
        return True
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(need.versions).contains(distribution.version, prereleases=True)
    except InvalidSpecifier:
        return True
