"""What models come from: how a framework's model is run, and how it is written as ONNX."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnxopt.errors import ModelError
from onnxopt.target import Feeds, Outputs

Dim = int | str

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

FOREIGN: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What frameworks and their converters raise; those with errors of their own add them."""


@dataclasses.dataclass(frozen=True)
class Declared:
    """An input as it is declared: a name for each axis that stays open, a size for the others.

    A name may be an expression of others, ``past + 3``.
    """

    name: str
    dtype: ir.DataType
    dims: tuple[Dim, ...]

    def __str__(self) -> str:
        kind = "" if self.dtype == ir.DataType.FLOAT else f":{self.dtype.name.lower()}"
        sizes = ",".join(str(dim).replace(" ", "") for dim in self.dims)
        return f"{self.name}{kind}={sizes}"


def axis_name(name: str, axis: int) -> str:
    """Return a name for an axis of an input that a model leaves open."""
    return re.sub(r"\W+", "_", f"{name}_{axis}") if axis else "batch"


class RefusedError(ModelError):
    """A framework or one of its exporters does not do what is asked of it."""


@contextlib.contextmanager
def refusals(what: str, *more: type[Exception]) -> Iterator[None]:
    """Turn whatever a framework raises into a RefusedError of one line.

    It begins with what refused, where that is not plain from elsewhere.
    """
    try:
        yield
    except ModelError:
        raise
    except FOREIGN + more as error:
        raise RefusedError(f"{what}: {reason(error)}" if what else reason(error)) from error


def reason(error: BaseException) -> str:
    """Say why, in one line: the kind of the first error, and the first paragraph of its text."""
    while error.__cause__ is not None:
        error = error.__cause__
    plain = _COLOURS.sub("", str(error))
    paragraphs = [" ".join(p.split()) for p in plain.split("\n\n") if p.strip()]
    text = paragraphs[0] if paragraphs else ""
    kind = type(error).__name__
    return f"{kind}: {text[:297]}..." if len(text) > 300 else f"{kind}: {text}".rstrip(": ")


class Subject(abc.ABC):
    """A model in its framework."""

    exporters: Sequence[str] = ()
    """The ways to write it, the preferred one first."""
    notes: list[str]
    """What the user should know of it."""
    checks_indices: bool = True
    """Whether the framework refuses an index that a table does not have."""
    tables: bool = False
    """Whether the columns of a table may be inputs of their own, by name."""
    rows: int = 0
    """How many further rows, made of the example's, it costs next to nothing to compare on."""

    def declared(self) -> tuple[Declared, ...] | None:
        """Return the inputs where the model itself knows their types and axes."""
        return None

    def arguments(self) -> tuple[str, ...] | None:
        """Return the names of the inputs in the order of the call; None where any will do."""
        return None

    def narrowed(self, dtype: ir.DataType) -> ir.DataType:
        """Return the type that the framework computes in where an input is of this one."""
        return dtype

    @abc.abstractmethod
    def settle(self, signature: Sequence[Declared]) -> None:
        """Take note of the inputs that it will be fed. Raises UsageError where they do not fit."""

    @abc.abstractmethod
    def run(self, feeds: Feeds) -> Outputs:
        """Return what the framework itself computes, by the names that the outputs will have.

        Raises RefusedError where it does not take the feeds.
        """

    @abc.abstractmethod
    def write(
        self,
        exporter: str,
        signature: Sequence[Declared],
        feeds: Feeds,
        path: Path,
        opset: int | None,
    ) -> None:
        """Write the model by one of the exporters; feeds are an example. Raises RefusedError."""


class Framework(abc.ABC):
    """A framework, known without being imported."""

    modules: ClassVar[tuple[str, ...]]
    """The packages whose classes its models are made of."""
    needs: ClassVar[Mapping[str, str]] = {}
    """The modules that exporting takes, and what installs each."""

    def version(self) -> str:
        """Return its name and version."""
        from importlib.metadata import PackageNotFoundError, version

        for name in self.modules:
            with contextlib.suppress(PackageNotFoundError):
                return f"{name} {version(name)}"
        return self.modules[0]

    def owns(self, kind: type) -> bool:
        """Return whether a class is one of the framework's own kinds of models."""
        return kind.__module__.partition(".")[0] in self.modules

    def reads(self, path: Path) -> bool:
        """Return whether a file or folder is one that the framework wrote."""
        return False

    def load(self, path: Path) -> object:
        """Load such a file. Raises ModelError."""
        raise ModelError(f"{path}: {self.modules[0]} models are given as 'module:function' here")

    @abc.abstractmethod
    def subject(self, thing: object, outputs: Sequence[str]) -> Subject:
        """Take a model; ``outputs`` are names for its outputs, none for the framework's own."""

    def check(self, extra: str) -> None:
        """Raise ModelError where a package is missing, saying what to install."""
        missing = [
            package
            for module, package in self.needs.items()
            if module not in sys.modules and importlib.util.find_spec(module) is None
        ]
        if missing:
            raise ModelError(
                f"{' and '.join(missing)} must be installed to export from {self.modules[0]}: "
                f"pip install 'onnxopt[{extra}]'"
            )


def named(
    outputs: Sequence[tuple[str, np.ndarray]], names: Sequence[str], inputs: Sequence[str]
) -> Outputs:
    """Return outputs under the names asked for, or their own where those are free.

    ONNX has one name space: an output that is called like an input becomes ``x_out``. Raises
    ModelError where the number of names is not that of the outputs.
    """
    own = [name for name, _ in outputs]
    if names and len(names) != len(own):
        raise ModelError(
            f"the model has {len(own)} outputs ({', '.join(own)}), but {len(names)} names are "
            "given for them"
        )
    taken = set(inputs)
    found: Outputs = {}
    for name, (_, array) in zip(names or own, outputs, strict=True):
        free = name
        while free in taken:
            free = f"{free}_out"
        taken.add(free)
        found[free] = array
    return found
