"""Which open axis an export took the size of for a constant."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import onnx_ir as ir

from onnxopt.exporter.agreement import Judge, Trial
from onnxopt.exporter.examples import resized
from onnxopt.exporter.notation import sizes_of
from onnxopt.framework import Declared, RefusedError, Subject
from onnxopt.target import Feeds


def baked(
    model: ir.Model, subject: Subject, signature: Sequence[Declared], feeds: Sequence[Feeds]
) -> list[str]:
    """Return the axes whose size cannot change alone, though the framework lets it.

    ``feeds`` are the example and, where there are any, feeds of other sizes.
    """
    first = sizes_of(signature, feeds[0])
    judge = Judge(model)
    if not _right(judge, Trial("the example", feeds[0], subject.run(feeds[0]))):
        return []  # it is wrong at any size
    found = []
    for name, size in _changed(signature, first, feeds[1:]):
        other = resized(signature, feeds[0], {**first, name: size})
        with contextlib.suppress(RefusedError):
            if not _right(judge, Trial(name, other, subject.run(other))):
                found.append(f"'{name}'")
    return found


def _right(judge: Judge, trial: Trial) -> bool:
    try:
        tuple(judge.verdicts([trial]))
    except RefusedError:
        return False
    return True


def _changed(
    signature: Sequence[Declared], first: dict[str, int], others: Sequence[Feeds]
) -> Iterator[tuple[str, int]]:
    """Yield each axis once with another size that it is known to take beside the others."""
    seen = set()
    for feeds in others:
        for name, size in sizes_of(signature, feeds).items():
            if size != first[name] and name not in seen:
                seen.add(name)
                yield name, size
