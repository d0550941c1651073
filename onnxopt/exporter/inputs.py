"""The inputs that a user gives, in any of the forms they may have."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np

from onnxopt.errors import UsageError
from onnxopt.exporter.notation import Axes, of_example, read, sizes_of
from onnxopt.framework import Declared, Subject
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

        A mapping is an example by name, text and sequences of text are declarations, anything else
        is an array or a sequence of arrays in the order of the call; tensors of any framework are
        arrays. Raises UsageError.
        """
        if inputs is None:
            return cls()
        if isinstance(inputs, str):
            return cls(declared=(read(inputs),))
        if isinstance(inputs, Mapping):
            return cls(named=arrays(inputs))
        if isinstance(inputs, tuple | list):
            if inputs and all(isinstance(each, str) for each in inputs):
                return cls(declared=tuple(map(read, inputs)))
            return cls(
                placed=tuple(array_of(each, f"input {at}") for at, each in enumerate(inputs))
            )
        return cls(placed=(array_of(inputs, "the input"),))


def arrays(feeds: Mapping[str, Any]) -> Feeds:
    """Return tensors of any framework as arrays."""
    return {name: array_of(value, f"input '{name}'") for name, value in feeds.items()}


def array_of(value: Any, what: str) -> np.ndarray:
    """Return a tensor of any framework as an array; raises UsageError for what is none."""
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
    own = subject.declared()
    if given.declared is not None:
        return _ordered(given.declared, subject), None
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
        sizes_of(own, feeds)
        return own, feeds
    return of_example(feeds, {} if dynamic == "none" or dynamic is None else dynamic), feeds


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
