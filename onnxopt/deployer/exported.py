"""Exporting as a stage of a deployment."""

from __future__ import annotations

from pathlib import Path

from onnxopt import __version__, catalogue, exporter, io
from onnxopt.deployer.commands import export_command
from onnxopt.deployer.request import Request
from onnxopt.deployer.stages import Result, files_hash, samples_hash


def exported(thing: object, asked: Request, path: Path, more: list[object]) -> Result:
    """Export a model into a file; one that is ONNX already stays where it is.

    The result is the report, with the ``command`` that repeats it, which ends in ``more``, where
    anything was written.
    """
    request = exporter.Request(
        inputs=asked.inputs,
        dynamic=asked.dynamic,
        outputs=asked.outputs,
        samples=asked.samples,
        folder=asked.folder,
        seed=asked.seed,
    )
    model, report = exporter.run(thing, request)
    if report.exporter is None and isinstance(thing, str | Path):
        return report.to_dict()
    io.save(model, path)
    return report.to_dict() | {"command": export_command(thing, report, path, asked.outputs, more)}


def key_of(thing: object, asked: Request) -> tuple[object, ...] | None:
    """Return what an export is made from; None for code, which may change, and for ONNX."""
    given = asked.inputs
    texts = [given] if isinstance(given, str) else given if isinstance(given, tuple) else None
    examples = given is not None and (
        texts is None or not all(isinstance(each, str) for each in texts)
    )
    if not isinstance(thing, str | Path) or not Path(thing).exists() or examples:
        return None
    kinds = map(catalogue.framework, catalogue.frameworks())
    if not any(kind.reads(Path(thing)) for kind in kinds):
        return None
    words = (asked.inputs, asked.dynamic, asked.outputs, asked.seed)
    return (__version__, files_hash(Path(thing)), *words, samples_hash(asked.samples))
