"""Model files as variants of a measurement, looked at before anything is measured."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir

from onnxopt import catalogue
from onnxopt.errors import BackendError, ModelError, UsageError
from onnxopt.graph import dims
from onnxopt.io import load
from onnxopt.measure import MAX_FEEDS, Inputs, Variant
from onnxopt.samples import Samples
from onnxopt.spec import Tokens
from onnxopt.target import Backend, Feeds

_THREADS = re.compile(r"[{,]\s*threads\s*=")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matrix:
    """The conditions that models are measured under: every combination is a cell."""

    providers: tuple[str, ...] = ("cpu",)
    """Targets with their options, ``cpu{spinning=false}``, or providers by the runtime's name."""
    threads: tuple[int, ...] = (0,)
    batches: tuple[int, ...] = ()
    shapes: tuple[str, ...] = ()
    """As ``x=1,3,224,224``; inputs go together, and one given again begins another cell."""
    streams: tuple[int, ...] = (1,)
    """Callers of one session at once."""

    def inputs(self) -> list[Inputs]:
        """Return what the feeds of each cell look like."""
        cells: list[dict[str, str]] = [{}]
        for text in self.shapes:
            name = text.rpartition("=")[0]
            if name in cells[-1]:
                cells.append({})
            cells[-1][name] = text
        batches = self.batches or (None,)
        return [Inputs(batch=b, shapes=tuple(c.values())) for c in cells for b in batches]


def variants_of(models: Sequence[Path], matrix: Matrix | None = None) -> list[Variant]:
    """Return a variant for each model in each cell of a matrix.

    Several models are compared with the first one of the same cell; one model with itself on the
    first provider and number of threads. A file that is no model, or takes other inputs than the
    first that is one, is told in the variant's ``fault``, and so is a provider that cannot be used
    here beside one that can. Raises ModelError when faults of models leave nothing to measure,
    BackendError when no provider can be used, UsageError for an option that a target does not have.
    """
    matrix = matrix or Matrix()
    cells = list(itertools.product(matrix.providers, matrix.threads))
    backends = [backend_of(text, threads) for text, threads in cells]
    why = [backend.unavailable() for backend in backends]
    if None not in why:
        raise BackendError(why[0])
    if not models:
        return []
    faults = _faults(models)
    if None not in faults:
        raise ModelError(faults[0])
    named = list(zip(labels(models), models, faults, strict=True))
    found = []
    for inputs, streams in itertools.product(matrix.inputs(), matrix.streams):
        for (text, threads), backend, missing in zip(cells, backends, why, strict=True):
            place = _place(text, threads, inputs, streams, matrix)
            group = place if len(models) > 1 else f"{inputs} {streams}"
            found += [
                Variant(
                    label=", ".join([label, *filter(None, [place])]),
                    model=path,
                    backend=backend,
                    inputs=inputs,
                    streams=streams,
                    group=group,
                    fault=fault or missing,
                )
                for label, path, fault in named
            ]
    return found


def _place(provider: str, threads: int, inputs: Inputs, streams: int, matrix: Matrix) -> str:
    """Return what tells a cell from the others; nothing where there is only one."""
    parts = [provider] if len(matrix.providers) > 1 else []
    if len(matrix.threads) > 1:
        parts.append("default threads" if not threads else f"threads {threads}")
    if len(matrix.batches) > 1:
        parts.append(f"batch {inputs.batch}")
    if len(matrix.streams) > 1:
        parts.append(f"streams {streams}")
    if len(matrix.inputs()) > max(len(matrix.batches), 1):
        parts += inputs.shapes
    return ", ".join(parts)


def _faults(models: Sequence[Path]) -> list[str | None]:
    """Say why models cannot be compared with the first that is one; None for those that can."""
    found: list[str | None] = []
    first: Path | None = None
    baseline: Sequence[ir.Value] = ()
    for path in models:
        try:
            inputs = load(path).graph.inputs
        except ModelError as error:
            found.append(str(error))
            continue
        if first is None:
            first, baseline = path, inputs
        problem = _misfit(inputs, baseline, str(first))
        found.append(problem and f"{path}: {problem}; compare models with the same inputs")
    return found


def first_model(models: Sequence[Path]) -> Path:
    """Return the first file that is a model; the first of all where none is."""
    faults = _faults(models)
    return next((p for p, fault in zip(models, faults, strict=True) if not fault), models[0])


def _misfit(inputs: Sequence[ir.Value], baseline: Sequence[ir.Value], called: str) -> str | None:
    """Say what keeps the feeds of the first model from fitting another one."""
    mine = {value.name: value for value in inputs}
    first = {value.name: value for value in baseline}
    for name, value in first.items():
        if name not in mine and not value.is_initializer():
            return f"has no input '{name}', which {called} has"
    for name, value in mine.items():
        other = first.get(name)
        if other is None:
            if not value.is_initializer():
                return f"has an input '{name}', which {called} has not"
        elif None not in (value.dtype, other.dtype) and value.dtype != other.dtype:
            return f"input '{name}' is {value.dtype}, and {other.dtype} in {called}"
        elif not _alike(value, other):
            return f"input '{name}' is {value.shape}, and {other.shape} in {called}"
    return None


def _alike(one: ir.Value, other: ir.Value) -> bool:
    """Say whether some array has the shapes of both."""
    mine, theirs = dims(one), dims(other)
    if mine is None or theirs is None:
        return True
    return len(mine) == len(theirs) and all(
        a == b or not (isinstance(a, int) and isinstance(b, int))
        for a, b in zip(mine, theirs, strict=True)
    )


def backend_of(text: str, threads: int = 0) -> Backend:
    """Return a target with its options, or a provider of ONNX Runtime by its own name.

    Raises UsageError for a target or an option that is not there.
    """
    name = Tokens(text).word("the name of a target")
    if name not in catalogue.targets() and name.endswith("ExecutionProvider"):
        text = f"provider{{provider={name}}}"
    if threads:
        if _THREADS.search(text):
            raise UsageError(f"'{text}' and --threads {threads}: give the number of threads once")
        head, brace, options = text.partition("{")
        text = f"{head}{{threads={threads}" + (f", {options}" if brace else "}")
    return catalogue.backend(text)


def labels(models: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the paths that tell them apart."""
    depth = max((len(path.parts) for path in models), default=0)
    for parts in range(1, depth + 1):
        labels = [str(Path(*path.parts[-parts:])) for path in models]
        if len(set(labels)) == len(models):
            return labels
    return [f"{path.name} ({number})" for number, path in enumerate(models, 1)]


def feeds_of(samples: Path, model: Path, batches: Sequence[int] = ()) -> list[Feeds]:
    """Return the first samples of a folder or file, checked against a model's inputs.

    There are as many as blocks go round in, or as the largest batch needs.
    """
    inputs = [value for value in load(model).graph.inputs if not value.is_initializer()]
    return list(Samples.from_path(samples, inputs).first(max([MAX_FEEDS, *batches])))
