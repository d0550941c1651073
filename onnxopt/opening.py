"""Open a model as it was found to run best, which the file itself says."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from onnxopt import catalogue, io
from onnxopt.errors import BackendError, ModelError, UsageError
from onnxopt.target import Session

SESSION = "onnxopt.session"
"""The metadata of a model under which its target and session options stand."""


def session(model: Path | str, *, provider: str | None = None) -> Session:
    """Open a model on the target and with the options that ``deploy`` kept in it.

    Without any, or with a ``provider`` such as ``cpu{threads=2}``, on that or on the CPU. Use it in
    a ``with``: ``session.run({"x": array})`` returns arrays by the outputs' names.

    Raises ModelError for a file that is no model or that asks for more than session options,
    BackendError where the target cannot be used here.
    """
    path = Path(model)
    if provider is not None:
        return catalogue.backend(provider).open(path)
    text = io.load(path).metadata_props.get(SESSION, "cpu")
    try:
        backend = catalogue.backend(text)
    except UsageError as error:
        raise ModelError(f"{path}: its session options cannot be read: {error}") from error
    _check_harmless(path, backend)
    why = backend.unavailable()
    if why is not None:
        raise BackendError(f"{path} is for {text}: {why}; session(…, provider='cpu') tries it here")
    return backend.open(path)


def _check_harmless(path: Path, backend: Any) -> None:
    """Refuse options that name files: a model is not trusted to say where something is written."""
    for field in dataclasses.fields(backend):
        if isinstance(getattr(backend, field.name), Path):
            raise ModelError(
                f"{path}: its session options name a file ({field.name}); pass a provider instead"
            )
