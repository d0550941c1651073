"""Stages whose results lie in a folder, so that what was done once is not done again."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import onnx_ir as ir

from onnxopt import graph, io
from onnxopt.errors import ModelError, UsageError
from onnxopt.io.replace import put
from onnxopt.samples import Samples

_FILE = "stages.json"
_FORMAT = 7
"""Grows when results are kept in another form: what was kept before is made anew."""

WRITTEN = ("exported.onnx", "optimized.onnx", "quantized.onnx", "model.onnx")
"""The models that a deployment writes into its folder."""

Result = dict[str, Any]


class Stages:
    """The stages of one folder: results by name, each with a key of what it was made from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = folder / _FILE
        try:
            if folder.exists() and not folder.is_dir():
                raise UsageError(f"{folder}: is a file; name a folder for the results")
            folder.mkdir(parents=True, exist_ok=True)
            self._kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        except OSError as error:
            raise UsageError(
                f"{folder}: cannot be a folder for the results: {error.strerror or error}"
            ) from error
        except ValueError as error:
            raise ModelError(f"{path}: is damaged; remove it ({error})") from error
        self.seconds: dict[str, float | None] = {}
        """What each stage took; None where its result was there already."""

    def do(
        self,
        name: str,
        key: Iterable[object],
        make: Callable[[], Result],
        *files: Path,
        keeps: Callable[[Result], bool] = lambda _: True,
        anew: bool = False,
    ) -> Result:
        """Return what ``make`` returns, or returned when it was made from the same.

        ``files`` are what it writes; where one of them is gone or another, it is made again. What
        ``keeps`` says no to is not remembered. ``anew`` makes it in any case.
        """
        digest = digest_of((_FORMAT, *key))
        kept = self._kept.get(name)
        if not anew and kept and kept["key"] == digest and kept["files"] == _hashes(files):
            self.seconds[name] = None
            return dict(kept["result"])
        started = time.perf_counter()
        result = make()
        self.seconds[name] = time.perf_counter() - started
        if not keeps(result):
            return result
        self._kept[name] = {"key": digest, "files": _hashes(files), "result": dict(result)}
        data = json.dumps(self._kept, indent=1).encode()

        def write(file: BinaryIO) -> None:
            file.write(data)

        put(self._folder / _FILE, write)
        return result


def digest_of(parts: Iterable[object]) -> str:
    """Return a digest of what some values say of themselves."""
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()


def _hashes(files: Iterable[Path]) -> dict[str, str | None]:
    return {path.name: file_hash(path) if path.exists() else None for path in files}


def file_hash(path: Path) -> str:
    """Tell a model's file from others by its contents, and those of every file that it names."""
    return digest_of(hashes_of(path).values())


def hashes_of(path: Path) -> dict[str, str]:
    """Return the SHA-256 of a model's file, and of every file of data that it names, by path."""
    found = {}
    for each in (path, *_data(path)):
        if each.exists():
            with each.open("rb") as file:
                name = os.path.relpath(each, path.parent)
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def file_bytes(path: Path) -> int:
    """Return the size of a model's file, and of every file of data that it names."""
    return sum(each.stat().st_size for each in (path, *_data(path)) if each.exists())


def _data(path: Path) -> list[Path]:
    try:
        model = io.load(path)
    except ModelError:
        return []
    held = (tensor for _, tensor in graph.weights(model))
    outside = (tensor.path for tensor in held if isinstance(tensor, ir.ExternalTensor))
    return sorted({Path(each) for each in outside})


def samples_hash(samples: Path | Samples | None) -> str:
    """Tell samples from others: files by name, size and time, arrays by all that they hold."""
    if samples is None:
        return ""
    if isinstance(samples, Path):
        return files_hash(samples)
    return samples.fingerprint()


def files_hash(path: Path) -> str:
    """Tell a file, or all files of a folder, from others: by name, size and time."""
    inside = sorted(path.rglob("*")) if path.is_dir() else [path]
    return digest_of(
        (str(each.relative_to(path.parent)), each.stat().st_size, each.stat().st_mtime_ns)
        for each in inside
        if each.is_file()
    )


def keep_apart(thing: object, folder: Path) -> None:
    """Raise UsageError where a deployment would write over the model that it is given."""
    if not isinstance(thing, str | Path) or not Path(thing).is_file():
        return
    for name in WRITTEN:
        if (folder / name).exists() and (folder / name).samefile(thing):
            raise UsageError(f"{thing}: would be written over; name another folder than {folder}")
