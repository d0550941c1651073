"""Put files in place so that a reader, or whoever comes after a killed run, finds whole ones."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from onnxopt.errors import ModelError, UsageError

Write = Callable[[BinaryIO], None]


def put(target: Path, write: Write) -> None:
    """Write a file beside its target, then rename it."""
    with _reported(target), _draft(target, write) as draft:
        draft.replace(target)


def put_pair(
    target: Path, data: Path, write_data: Write, write_model: Callable[[str], Write]
) -> None:
    """Write a model and its data file; ``write_model`` is given the data file's name.

    Both are written beside their targets first. Where no data file of that name is there yet, it
    is renamed first, then the model: the old model never refers to it. Otherwise, since two files
    cannot be renamed at once, the steps are these, and each leaves a model with its own data:

    1. the new data gets a spare name, then a model that refers to it takes the old one's place,
    2. the new data also takes the old data's name (by a hard link; without those, it moves),
    3. a model that refers to that name takes the place of the first, and the spare name goes.
    """
    with (
        _reported(target),
        _draft(data, write_data) as draft,
        _draft(target, write_model(data.name)) as final,
    ):
        if not data.exists():
            draft.replace(data)
            final.replace(target)
            return
        spare = draft.with_name(f"{draft.name}.data")
        with _draft(target, write_model(spare.name)) as interim:
            draft.replace(spare)
            try:
                interim.replace(target)
            except OSError:
                spare.unlink()
                raise
        _rename_keeping(spare, data)
        final.replace(target)
        spare.unlink(missing_ok=True)


def _rename_keeping(draft: Path, target: Path) -> None:
    """Give a file a second name in place of another file; file systems without links rename it."""
    second = draft.with_name(f"{draft.name}2")
    try:
        os.link(draft, second)
    except OSError:
        draft.replace(target)
    else:
        second.replace(target)


@contextlib.contextmanager
def _draft(target: Path, write: Write) -> Iterator[Path]:
    """Write a new file beside the target; remove it unless it has been renamed by then."""
    draft = target.with_name(f".{target.name[:200]}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(descriptor, "wb") as file:
            if target.is_file() and not target.is_symlink():
                os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))
            write(file)
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def may_write(target: Path) -> None:
    """Raise UsageError for a place where no file can be put: call it before long work."""
    if not target.parent.is_dir():
        raise UsageError(f"{target}: there is no folder '{target.parent}'; create it first")
    if target.exists() and not target.is_file():
        raise UsageError(f"{target}: is not a regular file; name a file to write")


@contextlib.contextmanager
def _reported(target: Path) -> Iterator[None]:
    may_write(target)
    try:
        yield
    except OSError as error:
        raise ModelError(
            f"{target}: cannot be written: {error.strerror or error}; choose another place"
        ) from error
