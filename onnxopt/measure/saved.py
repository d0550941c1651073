"""Runs that were kept in a file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, BinaryIO

import onnx_ir as ir

from onnxopt.errors import ModelError
from onnxopt.io import load
from onnxopt.io.replace import put
from onnxopt.measure.intervals import Estimate
from onnxopt.measure.report import BenchReport, Row

_FORMAT = "onnxopt-bench"
_VERSION = 1

Conditions = tuple[str, int | None, tuple[str, ...], int]
"""What two rows must share to be compared: target with options, batch, shapes, streams."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OldRow:
    """A row of a run that was kept."""

    label: str
    model: Path
    conditions: Conditions
    feeds_hash: str
    launches: int
    """Processes that were measured."""
    seconds: Estimate
    """What rows are compared by: latency, or the time for each run where streams overlap."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Saved:
    """A run that was kept, as far as a later one needs it."""

    path: Path
    host: dict[str, Any]
    rows: tuple[OldRow, ...]
    interrupted: bool
    hashes: dict[str, str]
    """SHA-256 of each model with its weights, by path."""

    @classmethod
    def read(cls, path: Path) -> Saved:
        """Read a file that ``save`` wrote; raises ModelError for any other."""
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror}; check the path") from error
        except ValueError as error:
            raise ModelError(f"{path}: is no JSON; write it with bench --save") from error
        if not isinstance(said, dict) or said.get("format") != _FORMAT:
            raise ModelError(f"{path}: holds no run of onnxopt bench; write it with bench --save")
        if said.get("version") != _VERSION:
            raise ModelError(
                f"{path}: has version {said.get('version')} of the format, and this onnxopt reads "
                f"{_VERSION}; measure it again with bench --save"
            )
        try:
            rows = tuple(_row(row) for row in said["rows"] if _seconds(row) is not None)
            return cls(
                path=path,
                host=dict(said["host"]),
                rows=rows,
                interrupted=bool(said["interrupted"]),
                hashes=dict(said["models"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"{path}: is damaged ({type(error).__name__}: {error}); write it with bench --save"
            ) from error

    def at_hand(self, row: OldRow) -> bool:
        """Say whether the model of a row still lies where it was, unchanged."""
        known = self.hashes.get(str(row.model))
        return bool(known) and known == model_hash(row.model)


def _row(row: dict[str, Any]) -> OldRow:
    seconds = _seconds(row)
    assert seconds is not None
    return OldRow(
        label=row["label"],
        model=Path(row["model"]),
        conditions=(row["backend"], row["batch"], tuple(row["shapes"]), row["streams"]),
        feeds_hash=row["feeds_hash"],
        launches=row["launches"],
        seconds=seconds,
    )


def _seconds(row: dict[str, Any]) -> Estimate | None:
    if row["streams"] > 1 and row["throughput"] is not None:
        return _estimate(row["throughput"]).inverse()
    return None if row["median"] is None else _estimate(row["median"])


def _estimate(said: dict[str, Any]) -> Estimate:
    value, low, high = (float(said[name]) for name in ("value", "low", "high"))
    if not 0 < low <= value <= high < float("inf"):
        raise ValueError(f"a time of {value} between {low} and {high}")
    return Estimate(value, low, high)


def conditions(row: Row) -> Conditions:
    """Return what another row must share with this one to be compared."""
    return row.backend, row.batch, row.shapes, row.streams


def save(report: BenchReport, path: Path) -> None:
    """Write a run for later ones to be held to; raises UsageError where no file can be."""
    rows = [dataclasses.replace(r, model=str(Path(r.model).absolute())) for r in report.rows]
    names = dict.fromkeys(row.model for row in rows)
    said = {
        "format": _FORMAT,
        "version": _VERSION,
        "models": {name: model_hash(Path(name)) for name in names},
        **dataclasses.asdict(dataclasses.replace(report, rows=tuple(rows))),
    }
    text = json.dumps(said, indent=1) + "\n"

    def write(file: BinaryIO) -> None:
        file.write(text.encode())

    put(path, write)


def model_hash(path: Path) -> str:
    """Return a hash of a model and the data files of its weights, "" where it cannot be read."""
    state = hashlib.sha256()
    try:
        weights = load(path).graph.initializers.values()
        tensors = [value.const_value for value in weights]
        beside = {Path(t.path) for t in tensors if isinstance(t, ir.ExternalTensor)}
        for part in [path, *sorted(beside)]:
            with part.open("rb") as file:
                state.update(hashlib.file_digest(file, "sha256").digest())
    except (OSError, ModelError):
        return ""
    return state.hexdigest()
