"""A framework of our own, whose models are numpy functions and whose exporters write given text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import onnx.parser

from onnxopt import exporter
from onnxopt.exporter.run import run_in
from onnxopt.exporter.source import Source
from onnxopt.framework import Declared, Framework, RefusedError, Subject, named
from onnxopt.target import Feeds, Outputs

Function = Callable[..., np.ndarray]
Text = str | Callable[[Path], object]
"""What an exporter writes, or what writes it; anything but a graph is a refusal."""
HEAD = '<ir_version: 10, opset_import: ["" : 20]> graph '


class FakeSubject(Subject):
    """Computes ``function``; its exporters write the texts in their order."""

    def __init__(self, function: Function, texts: Mapping[str, Text]) -> None:
        self.function, self.texts = function, texts
        self.exporters = tuple(texts)
        self.notes: list[str] = []
        self.traced: list[dict[str, tuple[int, ...]]] = []

    def arguments(self) -> tuple[str, ...] | None:
        return tuple(inspect.signature(self.function).parameters)

    def settle(self, signature: Sequence[Declared]) -> None:
        self.names = [each.name for each in signature]

    def run(self, feeds: Feeds) -> Outputs:
        try:
            result = self.function(**feeds)
        except ValueError as error:
            raise RefusedError(str(error)) from error
        return named([("y", result)], (), self.names)

    def write(
        self,
        exporter: str,
        signature: Sequence[Declared],
        feeds: Feeds,
        path: Path,
        opset: int | None,
    ) -> None:
        self.traced.append({name: array.shape for name, array in feeds.items()})
        text = self.texts[exporter]
        if callable(text):
            text(path)
            return
        if not text.startswith("("):
            raise RefusedError(text)
        onnx.save(onnx.parser.parse_model(HEAD + text), path)


class Fake(Framework):
    """The framework of such functions."""

    modules: ClassVar = ("fake",)

    def subject(self, thing: Any, outputs: Sequence[str]) -> Subject:
        assert isinstance(thing, FakeSubject)
        return thing


def exported(
    function: Function, texts: Mapping[str, Text], request: exporter.Request
) -> tuple[Any, exporter.ExportReport, FakeSubject]:
    """Export a function; return the model, the report and the subject with what it saw."""
    subject = FakeSubject(function, texts)
    model, report = run_in(Fake(), Source("it", subject, None), request)
    return model, report, subject
