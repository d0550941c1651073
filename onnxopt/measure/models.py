"""Model files as variants of a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnxopt import catalogue
from onnxopt.errors import BackendError, ModelError, UsageError
from onnxopt.io import load
from onnxopt.measure import MAX_FEEDS
from onnxopt.measure.run import Variant
from onnxopt.samples import Samples
from onnxopt.spec import Tokens
from onnxopt.target import Backend, Feeds


def variants_of(models: Sequence[Path], provider: str, threads: int) -> list[Variant]:
    """Return a variant for each model file, all on one target.

    ``provider`` is a target with its options, ``cpu{spinning=false}``, or a provider of ONNX
    Runtime by its own name. Raises ModelError for a file that is not there, BackendError for a
    target that cannot be used here, UsageError for an option that it does not have.
    """
    missing = next((path for path in models if not path.is_file()), None)
    if missing is not None:
        raise ModelError(f"{missing}: no such file; check the path of the model")
    backend = _backend(provider, threads)
    why = backend.unavailable()
    if why is not None:
        raise BackendError(why)
    return [
        Variant(label=label, model=path, backend=backend)
        for label, path in zip(labels(models), models, strict=True)
    ]


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
