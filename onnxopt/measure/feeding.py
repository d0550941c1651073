"""The feeds that a group of variants runs on: given, stacked to a batch, or made up."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import pickle
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from onnxopt.base import Context
from onnxopt.errors import OnnxoptError, UsageError
from onnxopt.feeds import Plan, settled
from onnxopt.io import load
from onnxopt.measure.process import Process
from onnxopt.measure.records import Inputs, Variant
from onnxopt.pipeline import Pipeline
from onnxopt.spec import write_value
from onnxopt.target import Feeds, Outputs

MAX_FEEDS = 8
"""Samples that every block goes round in."""


def feeds_for(
    variant: Variant, given: Sequence[Feeds] | None, timeout_s: float, seed: int
) -> list[Feeds]:
    """Return the first of the feeds given, stacked where a batch is asked for, or made-up ones.

    Raises UsageError for a batch or shapes that the model does not leave open, and without any
    feeds; ModelError where the model accepts nothing that was made up.
    """
    inputs = variant.inputs
    if given is not None:
        if inputs.shapes:
            raise UsageError("--shape and --samples: samples have shapes of their own; give one")
        chosen = list(given[:MAX_FEEDS])
        if not chosen:
            raise UsageError("no samples to measure on: give at least one")
        return chosen if inputs.batch is None else [_stacked(variant, given, inputs.batch)]
    return [_made_up(variant, timeout_s, seed)]


def told(feeds: Sequence[Feeds], *, given: bool) -> str:
    """Say what a measurement ran on: how many samples, of which shapes, and whether made up."""
    names = list(feeds[0])
    shapes = ", ".join(f"{name} {_extents([feed[name] for feed in feeds])}" for name in names[:4])
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    if not names:
        return "the model takes no inputs"
    if given:
        return f"on {len(feeds)} sample{'s' * (len(feeds) != 1)}: {shapes}{more}"
    return f"the inputs are made up: {shapes}{more}; --shape and --samples give others"


def _extents(arrays: Sequence[np.ndarray]) -> str:
    """Return type and shape of arrays; where they differ, the smallest and the largest extent."""
    first = arrays[0]
    if len({array.ndim for array in arrays}) > 1:
        return f"{first.dtype} of several ranks"
    ends = [(min(sizes), max(sizes)) for sizes in zip(*(a.shape for a in arrays), strict=True)]
    shape = ",".join(str(low) if low == high else f"{low} to {high}" for low, high in ends)
    return f"{first.dtype}[{shape}]"


def turn_of(feeds: Sequence[Feeds]) -> int:
    """Return how many samples have times of their own: all where sizes differ, else one."""
    shapes = {tuple(sorted((n, a.shape) for n, a in feed.items())) for feed in feeds}
    return len(feeds) if len(shapes) > 1 else 1


def _made_up(variant: Variant, timeout_s: float, seed: int) -> Feeds:
    """Make up feeds that a variant accepts, in a process that may crash.

    Raises an OnnxoptError that names the model where it accepts nothing.
    """
    plan = plan_for(variant.model, variant.inputs)
    try:
        return _accepted(variant, plan, timeout_s, seed)
    except OnnxoptError as error:
        named = str(error) if variant.model.name in str(error) else f"{variant.model}: {error}"
        raise type(error)(named) from error


def _accepted(variant: Variant, plan: Plan, timeout_s: float, seed: int) -> Feeds:
    with Process() as process:
        process.ready(timeout_s)
        process.open(variant.model, variant.backend, (), timeout_s)

        def accepts(feeds: Feeds) -> Outputs:
            with stored([feeds]) as path:
                process.feed(path, timeout_s)
            return {}

        return settled(plan, accepts, seed)[0][2]


def plan_for(model: Path, inputs: Inputs) -> Plan:
    """Return how to feed a model with these shapes and this batch.

    Raises UsageError where the model has fixed what they would change.
    """
    loaded = load(model)
    if inputs.shapes:
        steps = Pipeline.parse(f"fix-shapes{{shapes={write_value(inputs.shapes)}}}")
        steps.run(loaded, Context())
    plan = Plan.of(loaded)
    if inputs.batch is None:
        return plan
    free = batch_axes(plan)
    if not free and not plan.needs:
        raise UsageError(f"--batch {inputs.batch}: {model} takes no inputs; leave --batch out")
    if not free:
        first = plan.needs[0]
        shape = ",".join(map(str, first.dims))
        raise UsageError(
            f"--batch {inputs.batch}: {model} has fixed its batch (input '{first.name}' is "
            f"[{shape}]); export it with an open first axis, or leave --batch out"
        )
    sizes = dict.fromkeys(free, inputs.batch)
    needs = (
        dataclasses.replace(need, dims=tuple(sizes.get(str(dim), dim) for dim in need.dims))
        for need in plan.needs
    )
    return Plan.for_needs(tuple(needs))


def batch_axes(plan: Plan) -> set[str]:
    """Return the names of the open dimensions that stand for a batch."""
    return {name for name, role in plan.roles.items() if role == "batch"}


def _stacked(variant: Variant, given: Sequence[Feeds], batch: int) -> Feeds:
    """Return samples one on another until there are as many rows as asked for."""
    plan_for(variant.model, variant.inputs)
    plan = Plan.of(load(variant.model))
    free, stacked = batch_axes(plan), {}
    for need in plan.needs:
        arrays = [feeds[need.name] for feeds in given if need.name in feeds]
        if not arrays:
            continue
        stacked[need.name] = arrays[0]
        axis = next((at for at, dim in enumerate(need.dims) if dim in free), None)
        if axis is None:
            continue
        moved = [np.moveaxis(array, axis, 0) for array in arrays]
        if len({array.shape[1:] for array in moved}) > 1:
            raise UsageError(
                f"--batch {batch}: the samples' arrays for '{need.name}' have different shapes "
                "and cannot be stacked; give samples of one shape"
            )
        rows = itertools.islice(itertools.cycle(row for a in moved for row in a), batch)
        stacked[need.name] = np.ascontiguousarray(np.moveaxis(np.stack(list(rows)), 0, axis))
    return stacked


@contextlib.contextmanager
def stored(feeds: Sequence[Feeds]) -> Iterator[Path]:
    """Write feeds where workers read them."""
    with tempfile.TemporaryDirectory(prefix="onnxopt-bench-") as folder:
        path = Path(folder) / "feeds"
        path.write_bytes(pickle.dumps([dict(entry) for entry in feeds]))
        yield path
