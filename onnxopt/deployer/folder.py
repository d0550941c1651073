"""What a deployment leaves in its folder: the model, the report, and what was there before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from onnxopt import io
from onnxopt.deployer.report import DeployReport
from onnxopt.deployer.stages import WRITTEN
from onnxopt.errors import UsageError
from onnxopt.io.replace import put
from onnxopt.opening import SESSION
from onnxopt.plain import json_text

_MODEL, _REPORT, _PAGE = "model.onnx", "report.json", "report.html"


def save(folder: Path, file: Path, session: str) -> Path:
    """Write the model that is deployed, with how to open it; return its path."""
    model = io.load(file)
    model.metadata_props[SESSION] = session
    io.save(model, folder / _MODEL)
    return folder / _MODEL


def write(folder: Path, report: DeployReport) -> None:
    """Write the report as JSON, and as a page where the extra for pages is installed."""
    data = json_text(report.to_dict()).encode()

    def put_data(file: BinaryIO) -> None:
        file.write(data)

    put(folder / _REPORT, put_data)
    try:
        from onnxopt.deployer.page import page_of

        page_of(report).save(folder / _PAGE)
    except UsageError as problem:
        report.notes.append(f"no {_PAGE}: {problem}")


def replaced(folder: Path, chosen: str) -> Iterator[str]:
    """Yield that an earlier deployment into the folder took another model."""
    try:
        before = json.loads((folder / _REPORT).read_text())["chosen"]
    except (OSError, ValueError, LookupError, TypeError):
        return
    if before != chosen:
        yield (
            f"{_MODEL} was the {before} model of an earlier deployment into this folder; it is the "
            f"{chosen} one now"
        )


def left_over(folder: Path, own: Iterable[Path]) -> Iterator[str]:
    """Yield which models in the folder are of an earlier deployment: not in ``own``."""
    names = {path.name for path in own} | {_MODEL}
    for name in WRITTEN:
        if name not in names and (folder / name).exists():
            yield f"{folder / name} is left from an earlier deployment"


def inputs_of(path: Path) -> tuple[str, ...]:
    """Return the names of what a model is fed."""
    given = io.load(path).graph.inputs
    return tuple(value.name or "" for value in given if not value.is_initializer())
