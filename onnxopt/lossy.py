"""The public functions that give up exactness for size and speed."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnxopt import pruner, quantizer
from onnxopt.pruner import Goal, PruneReport
from onnxopt.pruning.options import Importance, Ratios, Recover
from onnxopt.quantizer import QuantizeReport
from onnxopt.samples import Given, samples_of
from onnxopt.source import Source, source_of


def quantize(
    model: Source,
    *,
    samples: Given = None,
    scheme: str | None = None,
    target: str = "cpu",
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    measure: bool = True,
    budget: float = 20.0,
    max_drop: float | None = None,
    metric: str | None = None,
    seed: int = 0,
) -> ir.Model:
    """Quantize a model and return the result; the model given stays as it is.

    Without a ``scheme`` (``int8``, ``int8-dynamic``, ``int8-weights``, ``int4-weights``,
    ``int2-weights``, ``binary-weights``) several are tried, and what keeps the outputs and runs
    fastest here comes back: the optimized float model where that is best. ``only`` and ``skip`` are
    shell patterns of node, output and operator names. ``budget`` is in seconds, for measuring.
    ``max_drop`` bounds how far a ``metric`` may fall on the samples held back, in its own unit:
    that of the labels, agreement with the float model, or one that is named; layers go back to
    float until it holds.

    Raises UsageError for unknown names, ModelError for a model that is quantized already or cannot
    be read and for samples that do not fit it, BackendError where the target cannot be used here.
    """
    return quantize_with_report(
        model,
        samples=samples,
        scheme=scheme,
        target=target,
        only=only,
        skip=skip,
        measure=measure,
        budget=budget,
        max_drop=max_drop,
        metric=metric,
        seed=seed,
    )[0]


def quantize_with_report(
    model: Source,
    *,
    samples: Given = None,
    scheme: str | None = None,
    target: str = "cpu",
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    compare: bool = True,
    measure: bool = True,
    budget: float = 20.0,
    max_drop: float | None = None,
    metric: str | None = None,
    check_portability: bool = False,
    sensitivity: bool = False,
    seed: int = 0,
) -> tuple[ir.Model, QuantizeReport]:
    """Do what ``quantize`` does and return the report too: what was tried, and why this."""
    request = quantizer.Request(
        target=target,
        scheme=scheme,
        samples=samples_of(samples),
        only=(only,) if isinstance(only, str) else tuple(only),
        skip=(skip,) if isinstance(skip, str) else tuple(skip),
        compare=compare,
        measure=measure,
        budget_s=budget,
        accuracy=quantizer.budget_of(max_drop, metric),
        check_portability=check_portability,
        sensitivity=sensitivity,
        seed=seed,
    )
    return quantizer.run(source_of(model), request)


def prune(
    model: Source,
    *,
    macs: float | None = None,
    params: float | None = None,
    bytes: float | None = None,
    latency: float | None = None,
    samples: Given = None,
    importance: Importance = "reconstruction",
    ratios: Ratios = "outputs",
    recover: Recover = "refit",
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    multiple: int | None = None,
    least: float = 0.1,
    branches: bool | None = None,
    steps: int = 1,
    target: str = "cpu",
    metric: str | None = None,
    measure: bool = False,
    seed: int = 0,
) -> ir.Model:
    """Remove whole channels, with all that is coupled to them; the model given stays as it is.

    One of ``macs``, ``params``, ``bytes`` (of weights) and ``latency`` (measured here) says what
    share is to be left. Channels go whose loss the rest makes up for best, and the rest is refitted
    to what the model computed for the ``samples``, which need no labels. ``only`` and ``skip`` are
    shell patterns of node, weight and group names; ``multiple`` keeps numbers of channels that it
    divides, ``least`` is the share that every group keeps, and ``branches`` lets residual branches
    go as a whole (None: for latency only); the goal is reached in so many ``steps``, each chosen
    and refitted anew. ``target`` may have options, as ``cpu{threads=1}``. A ``metric`` (``top1``,
    ``perplexity``, ``module:function``), or what suits the samples' labels, is reported before and
    after on samples held back.

    Raises UsageError where not one share between 0 and 1 is given, ModelError for a model that is
    quantized, cannot be read or has no channels that may go, and for samples that do not fit it.
    """
    return prune_with_report(
        model,
        macs=macs,
        params=params,
        bytes=bytes,
        latency=latency,
        samples=samples,
        importance=importance,
        ratios=ratios,
        recover=recover,
        only=only,
        skip=skip,
        multiple=multiple,
        least=least,
        branches=branches,
        steps=steps,
        target=target,
        metric=metric,
        measure=measure,
        seed=seed,
    )[0]


def prune_with_report(
    model: Source,
    *,
    macs: float | None = None,
    params: float | None = None,
    bytes: float | None = None,
    latency: float | None = None,
    samples: Given = None,
    importance: Importance = "reconstruction",
    ratios: Ratios = "outputs",
    recover: Recover = "refit",
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    multiple: int | None = None,
    least: float = 0.1,
    branches: bool | None = None,
    steps: int = 1,
    target: str = "cpu",
    metric: str | None = None,
    measure: bool = True,
    seed: int = 0,
) -> tuple[ir.Model, PruneReport]:
    """Do what ``prune`` does and return the report too: what went, what it costs and gains."""
    request = pruner.Request(
        goal=Goal.of_one(macs=macs, params=params, bytes=bytes, latency=latency),
        target=target,
        samples=samples_of(samples),
        importance=importance,
        ratios=ratios,
        recover=recover,
        only=(only,) if isinstance(only, str) else tuple(only),
        skip=(skip,) if isinstance(skip, str) else tuple(skip),
        multiple=multiple,
        least=least,
        branches=branches,
        steps=steps,
        metric=metric,
        measure=measure,
        seed=seed,
    )
    return pruner.run(source_of(model), request)
