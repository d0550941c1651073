"""Model files as variants of a measurement, looked at before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir

from onnxopt import catalogue
from onnxopt.errors import BackendError, ModelError, UsageError
from onnxopt.graph import dims
from onnxopt.io import load
from onnxopt.measure import MAX_FEEDS
from onnxopt.measure.run import Variant
from onnxopt.samples import Samples
from onnxopt.spec import Tokens
from onnxopt.target import Backend, Feeds


def variants_of(models: Sequence[Path], provider: str, threads: int) -> list[Variant]:
    """Return a variant for each model file, all on one target.

    ``provider`` is a target with its options, ``cpu{spinning=false}``, or a provider of ONNX
    Runtime by its own name. A file that is no model, or takes other inputs than the first, is told
    in the variant's ``fault``. Raises ModelError when that leaves nothing to measure or to compare,
    BackendError for a target that cannot be used here, UsageError for an option that it does not
    have.
    """
    backend = _backend(provider, threads)
    why = backend.unavailable()
    if why is not None:
        raise BackendError(why)
    if not models:
        return []
    baseline = load(models[0]).graph.inputs
    faults = [None, *(_fault(path, baseline) for path in models[1:])]
    if len(models) > 1 and None not in faults[1:]:
        raise ModelError(faults[1])
    return [
        Variant(label=label, model=path, backend=backend, fault=fault)
        for label, path, fault in zip(labels(models), models, faults, strict=True)
    ]


def _fault(path: Path, baseline: Sequence[ir.Value]) -> str | None:
    """Say why a model cannot be compared with the first; None when it can."""
    try:
        inputs = load(path).graph.inputs
    except ModelError as error:
        return str(error)
    problem = _misfit(inputs, baseline)
    return problem and f"{path}: {problem}; compare models with the same inputs"


def _misfit(inputs: Sequence[ir.Value], baseline: Sequence[ir.Value]) -> str | None:
    """Say what keeps the feeds of the first model from fitting another one."""
    mine = {value.name: value for value in inputs}
    first = {value.name: value for value in baseline}
    for name, value in first.items():
        if name not in mine and not value.is_initializer():
            return f"has no input '{name}', which the first model has"
    for name, value in mine.items():
        other = first.get(name)
        if other is None:
            if not value.is_initializer():
                return f"has an input '{name}', which the first model has not"
        elif None not in (value.dtype, other.dtype) and value.dtype != other.dtype:
            return f"input '{name}' is {value.dtype}, and {other.dtype} in the first model"
        elif not _alike(value, other):
            return f"input '{name}' is {value.shape}, and {other.shape} in the first model"
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


def _backend(text: str, threads: int) -> Backend:
    name = Tokens(text).word("the name of a target")
    if name not in catalogue.targets() and name.endswith("ExecutionProvider"):
        text = f"provider{{provider={name}}}"
    if threads:
        if "threads" in text:
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


def feeds_of(samples: Path, model: Path) -> list[Feeds]:
    """Return the first samples of a folder or file, checked against a model's inputs."""
    inputs = [value for value in load(model).graph.inputs if not value.is_initializer()]
    return list(Samples.from_path(samples, inputs).first(MAX_FEEDS))
