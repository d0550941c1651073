"""The inputs that a user gives, in any of the forms they may have."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import onnx_ir as ir

from onnxopt.errors import UsageError
from onnxopt.exporter.notation import Axes, of_example, read, sizes_of
from onnxopt.framework import Declared, Subject
from onnxopt.frameworks._torch import to_array
from onnxopt.samples import Samples, named_samples
from onnxopt.spec import nearest
from onnxopt.target import Feeds


@dataclasses.dataclass(frozen=True)
class Given:
    """Examples by name or by place, or declarations."""

    named: Feeds | None = None
    placed: tuple[np.ndarray, ...] | None = None
    declared: tuple[Declared, ...] | None = None

    @classmethod
    def of(cls, inputs: Any) -> Self:
        """Tell what was given apart.

        A mapping is an example by name, and so is a table with named columns; text and sequences
        of text are declarations, anything else is an array or a sequence of arrays in the order of
        the call; tensors of any framework are arrays. Raises UsageError.
        """
        if inputs is None:
            return cls()
        if isinstance(inputs, str):
            return cls(declared=(read(inputs),))
        if isinstance(inputs, Mapping):
            return cls(named=arrays(inputs))
        if hasattr(inputs, "columns") and hasattr(inputs, "iloc"):  # as pandas has them
            columns = {str(name): np.asarray(inputs[name]) for name in inputs.columns}
            return cls(named={name: _column(array) for name, array in columns.items()})
        if isinstance(inputs, tuple | list):
            if inputs and all(isinstance(each, str) for each in inputs):
                return cls(declared=tuple(map(read, inputs)))
            return cls(
                placed=tuple(array_of(each, f"input {at}") for at, each in enumerate(inputs))
            )
        return cls(placed=(array_of(inputs, "the input"),))


def _column(array: np.ndarray) -> np.ndarray:
    """Return a column of a table as [rows, 1], texts as objects."""
    if array.dtype.kind not in "biuf":
        array = np.array([str(each) for each in array], dtype=object)
    if array.dtype.kind == "f":  # the files compute in single precision, as of matrices
        array = array.astype(np.float32)
    return array.reshape(-1, 1)


def arrays(feeds: Mapping[str, Any]) -> Feeds:
    """Return tensors of any framework as arrays."""
    return {name: array_of(value, f"input '{name}'") for name, value in feeds.items()}


def array_of(value: Any, what: str) -> np.ndarray:
    """Return a tensor of any framework as an array; raises UsageError for what is none."""
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
        return to_array(value)
    for method in ("detach", "cpu"):  # of torch's tensors, which may have gradients or be elsewhere
        value = getattr(value, method)() if hasattr(value, method) else value
    try:
        found = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"{what}: expected an array, not {type(value).__name__}") from error
    if found.dtype == object and not all(isinstance(each, str) for each in found.flat):
        raise UsageError(f"{what}: expected an array, not {type(value).__name__}")
    return found


def declare(
    subject: Subject, given: Given, dynamic: Axes | Literal["none"] | None
) -> tuple[tuple[Declared, ...], Feeds | None]:
    """Return the inputs and an example, None where that has to be made up.

    Raises UsageError where nothing is known of the inputs, or it does not fit.
    """
    signature, feeds = _declared(subject, given, dynamic)
    signature = tuple(
        dataclasses.replace(each, dtype=subject.narrowed(each.dtype)) for each in signature
    )
    _check(subject, signature)
    signature = _ordered(signature, subject)
    return signature, None if feeds is None else fitting(signature, feeds)


def _declared(
    subject: Subject, given: Given, dynamic: Axes | Literal["none"] | None
) -> tuple[tuple[Declared, ...], Feeds | None]:
    own = subject.declared()
    if given.declared is not None:
        if dynamic is not None:
            raise UsageError(
                "declarations name their open axes themselves, as 'x=batch,3': leave dynamic out"
            )
        return given.declared, None
    feeds = given.named if given.placed is None else _named(subject, own, given.placed)
    if feeds is None:
        if own is None:
            raise UsageError(
                "nothing is known of the inputs: pass an example of them, or declare them as "
                "'x=batch,3,224,224'"
            )
        if dynamic is not None:
            raise UsageError(
                f"open axes are chosen with an example, or by a declaration such as '{own[0]}'"
            )
        return own, None
    if dynamic is None and own is not None:
        return _matched(subject, own, feeds)
    if dynamic is None and subject.tables:
        dynamic = {name: {0: "batch"} for name, array in feeds.items() if array.ndim}
    return of_example(feeds, {} if dynamic == "none" or dynamic is None else dynamic), feeds


def _check(subject: Subject, signature: Sequence[Declared]) -> None:
    """Raise UsageError for an input that the model does not have, or lacks."""
    names, own = [each.name for each in signature], subject.declared()
    known = subject.arguments()
    if known is not None:
        for name in names:
            if name not in known:
                told = nearest(name, known) or f"; it takes {', '.join(known)}"
                raise UsageError(f"the model has no input '{name}'{told}")
    missing = [each for each in own or () if each.name not in names]
    if missing and not subject.tables:
        raise UsageError(f"the model has an input '{missing[0]}' as well: give or declare it too")


def _matched(
    subject: Subject, own: tuple[Declared, ...], feeds: Feeds
) -> tuple[tuple[Declared, ...], Feeds]:
    """Hold an example to what the model says of its inputs, or to the columns of its table.

    Raises UsageError where it does not fit.
    """
    names = [each.name for each in own]
    columns = [array for array in feeds.values() if array.shape[1:] == (1,)]
    if len(own) == 1 and len(columns) == len(feeds) > 1 and not subject.tables:
        feeds = {own[0].name: np.concatenate(columns, axis=1)}
    if set(feeds) != set(names) and subject.tables:
        if len(feeds) > 1:
            rows = {name: {0: "batch"} for name in feeds}
            return of_example(feeds, rows), feeds
        own = tuple(dataclasses.replace(each, name=next(iter(feeds))) for each in own)
    unknown = [name for name in feeds if name not in {each.name for each in own}]
    if unknown or len(feeds) < len(own):
        raise UsageError(
            f"the example has {', '.join(feeds)}; the model takes {', '.join(map(str, own))}"
        )
    sizes_of(own, feeds)
    return own, feeds


def fitting(signature: Sequence[Declared], feeds: Feeds) -> Feeds:
    """Return feeds with numbers in the type that is declared, where they stay what they are.

    Floating-point numbers in its precision, whole numbers where it is floating-point or holds them.
    """
    wanted = {each.name: each.dtype for each in signature}
    return {
        name: _as(array, wanted[name]) if name in wanted else array for name, array in feeds.items()
    }


def _as(array: np.ndarray, dtype: ir.DataType) -> np.ndarray:
    if dtype.is_floating_point() and array.dtype.kind in "biuf":
        return array.astype(dtype.numpy(), copy=False)
    if dtype.is_integer() and array.dtype.kind in "iu":
        cast = array.astype(dtype.numpy(), copy=False)
        return cast if np.array_equal(cast, array) else array
    return array


MOST = 64
"""Samples that are looked at for sizes that vary."""


def of_samples(samples: Path | Samples) -> tuple[Feeds, dict[str, dict[int, str]]]:
    """Return the first sample, and names for the axes whose sizes vary among the first ones.

    Axes that vary together have one name. Raises ModelError for a path without ``.npz`` files.
    """
    stream = named_samples(samples) if isinstance(samples, Path) else samples
    looked = [arrays(feeds) for feeds in stream.first(MOST)]
    if not looked:
        raise UsageError("there are no samples to take an example of the inputs from")
    first = looked[0]
    known: dict[tuple[int, ...], str] = {}
    axes: dict[str, dict[int, str]] = {}
    for name, array in first.items():
        for axis in range(array.ndim):
            sizes = tuple(feeds[name].shape[axis] for feeds in looked)
            if len(set(sizes)) > 1:
                dim = known.setdefault(sizes, "batch" if not axis else f"{name}_{axis}")
                axes.setdefault(name, {})[axis] = dim
    return first, axes


def _ordered(declared: Sequence[Declared], subject: Subject) -> tuple[Declared, ...]:
    names = [each.name for each in declared]
    if len(set(names)) < len(names):
        raise UsageError("an input is declared twice")
    order = subject.arguments() or ()
    rank = {name: at for at, name in enumerate(order)}
    return tuple(sorted(declared, key=lambda each: rank.get(each.name, len(rank))))


def _named(subject: Subject, own: Sequence[Declared] | None, placed: Sequence[np.ndarray]) -> Feeds:
    """Name arrays in the order of the call; ``input_0`` where the model names nothing."""
    order = [each.name for each in own] if own is not None else subject.arguments()
    if order is None:
        order = [f"input_{at}" for at in range(len(placed))]
    if len(placed) > len(order):
        raise UsageError(f"{len(placed)} inputs are given; the model takes {', '.join(order)}")
    return dict(zip(order, placed, strict=False))
