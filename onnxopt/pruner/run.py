"""Carry out a pruning: optimize, thin, refit, hold against the original, measure."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import onnx_ir as ir

from onnxopt import catalogue, floats, graph, io, lossless, shapes
from onnxopt.base import Context, Observer
from onnxopt.comparison.named import metric_of
from onnxopt.comparison.scores import Change
from onnxopt.contents import Contents
from onnxopt.errors import ModelError, UsageError
from onnxopt.feeds import sizes_of
from onnxopt.measure import Effort, bench
from onnxopt.measure.records import Variant
from onnxopt.pipeline import Pipeline
from onnxopt.pruner.latency import Timed
from onnxopt.pruner.report import NAMES, GroupRow, LayerRow, Of, PruneReport
from onnxopt.pruner.streams import batched, entries
from onnxopt.pruner.words import early, late, slower
from onnxopt.pruning.amounts import Counted, Gauge
from onnxopt.pruning.candidates import Limits, Scales, folded_scales
from onnxopt.pruning.channels import Outcome, Thinned, prune
from onnxopt.pruning.choice import Request as Thinning
from onnxopt.pruning.options import Importance, Ratios, Recover
from onnxopt.quantizer.guard import Guard
from onnxopt.quantizer.judge import Budget, Judge
from onnxopt.samples import Samples
from onnxopt.spec import nearest
from onnxopt.split import Shares, Split
from onnxopt.target import Feeds, Session, Target

MISSED = 0.05
"""How far the latency may be from what was asked for, as a share of it, before that is said."""
FLOAT_CHANNELS = 8
"""Channels that kernels for floats work on at once where the target does not say it."""
TIMED = 8
"""Widths of each group that are timed."""
SHARES = Shares(every=8, most=64, made_up=128)
FEW = 100
"""Samples below which refitting is warned of."""

Progress = Callable[[float, str], None]


def _silent(share: float, text: str) -> None:
    del share, text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Goal:
    """What is to be left of an amount."""

    of: Of
    share: float

    @classmethod
    def of_one(
        cls,
        *,
        macs: float | None,
        params: float | None,
        bytes: float | None,
        latency: float | None,
    ) -> Goal:
        """Return the one that is given; UsageError where none is, or more than one."""
        given: dict[Of, float | None] = {
            "macs": macs,
            "params": params,
            "bytes": bytes,
            "latency": latency,
        }
        asked = [(of, share) for of, share in given.items() if share is not None]
        if len(asked) != 1:
            both = f", not of {' and '.join(of for of, _ in asked)}" if asked else ""
            raise UsageError(
                "say what is to be left of one amount: macs, params, bytes or latency, as 0.5"
                f"{both}"
            )
        return cls(of=asked[0][0], share=asked[0][1])

    def __post_init__(self) -> None:
        if not isinstance(self.share, int | float):
            raise UsageError(f"{self.of}={self.share!r}: give a number, 0.5 for half")
        if not 0 < self.share < 1:
            raise UsageError(
                f"{self.of}={self.share:g}: give the share that is left, between 0 and 1"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a pruning."""

    goal: Goal
    target: str = "cpu"
    samples: Path | Samples | None = None
    """Real inputs; made up where there are none, which says little."""
    importance: Importance = "reconstruction"
    ratios: Ratios = "outputs"
    recover: Recover = "refit"
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    multiple: int | None = None
    """Numbers of channels are multiples of this; None is what the target's convolutions work on at
    once for latency, and 1 for others."""
    least: float = 0.1
    branches: bool | None = None
    """Whether residual branches may go as a whole; None is for latency only."""
    steps: int = 1
    """In how many steps the share is reached, each ranked and refitted anew."""
    metric: str | None = None
    """What accuracy is on the samples held back; None takes what suits their labels, if any."""
    measure: bool = True
    """Measure the latency of the result."""
    budget_s: float = 20.0
    seed: int = 0
    observers: tuple[Observer, ...] = ()
    progress: Progress = _silent

    def __post_init__(self) -> None:
        for name, kind in (("importance", Importance), ("ratios", Ratios), ("recover", Recover)):
            given, known = getattr(self, name), get_args(kind)
            if given not in known:
                raise UsageError(
                    f"{name}={given!r}{nearest(str(given), known) or '.'} There are "
                    f"{', '.join(known)}"
                )

    def told(self) -> dict[str, Any]:
        """Return the options that say how channels are chosen, as plain data."""
        names = ("importance", "recover", "only", "skip", "multiple", "least", "branches", "steps")
        return {name: getattr(self, name) for name in (*names, "seed")}

    def thinning(self, target: Target, given: Scales) -> Thinning:
        """Return what is asked of the channels; ``given`` is what was folded into layers."""
        timed = self.goal.of == "latency"
        natural = (target.channel_block or FLOAT_CHANNELS) if timed else 1
        return Thinning(
            share=self.goal.share,
            importance=self.importance,
            ratios=self.ratios,
            recover=self.recover,
            steps=self.steps,
            scales=given,
            limits=Limits(
                only=self.only,
                skip=self.skip,
                multiple=self.multiple or natural,
                least=self.least,
                branches=timed if self.branches is None else self.branches,
                steps=TIMED if timed else Limits.steps,
            ),
        )


def run(source: ir.Model | Path, request: Request) -> tuple[ir.Model, PruneReport]:
    """Prune a model, or the file of one; return the result and what was done.

    Raises UsageError for an unknown target and for a share that is none, ModelError for a model
    that cannot be read, is quantized, or has nothing that may go, and for samples that do not fit.
    """
    return _Run(source, request).run()


class _Run:
    def __init__(self, source: ir.Model | Path, request: Request) -> None:
        self._source, self._request = source, request
        self._backend = catalogue.backend(request.target)
        self._target = self._backend.target()
        self._metric = None if request.metric is None else metric_of(request.metric)
        self._warnings: list[str] = []
        self._notes: list[str] = []
        self._scales: Scales = {}

    def run(self) -> tuple[ir.Model, PruneReport]:
        started = time.perf_counter()
        whole = self._optimized()
        given = self._request.samples
        seed = self._request.seed
        split = Split.of(given, whole, lossless.reference(), SHARES, seed=seed)
        held = split.held()
        first = held[0]
        self._warn(split.fitted * entries(first, whole))
        thin = whole.clone()
        with self._gauge(thin, first) as gauge:
            thinning = self._request.thinning(self._target, self._scales)
            outcome = prune(thin, thinning, gauge, self._context(split, thin))
        self._check(outcome)
        report = self._report(whole, thin, outcome, split.fitted, held)
        self._told("comparing")
        with self._backend.open(whole) as session:
            guard = Guard(session, held)
            report.accuracy = self._accuracy(session, thin, split.compared())
        with self._backend.open(thin) as session:
            loss = guard.loss(session)
        report.sqnr_db, report.agreement = loss.sqnr_db, loss.agreement
        if loss.strange:
            raise ModelError(
                "the pruned model's outputs are NaN, infinite or of another shape; prune less, or "
                "give samples like those it will see"
            )
        self._finish(thin)
        if self._request.measure:
            self._finish(whole)
            self._measure(whole, thin, first, report)
        report.seconds = time.perf_counter() - started
        return thin, report

    def _accuracy(self, whole: Session, thin: ir.Model, samples: Samples) -> Change | None:
        """Return what a metric asked for, or one that suits the labels, is before and after."""
        if self._metric is None and next(iter(samples.labelled())).label is None:
            return None
        budget = Budget(drop=math.inf, metric=self._metric)
        return Judge(budget, whole, samples, self._backend.open).change(thin)

    def _optimized(self) -> ir.Model:
        """Return the model after the target's lossless passes, all weights fixed, with shapes."""
        if self._request.importance == "scale":
            self._source = io.load(self._source) if isinstance(self._source, Path) else self._source
            self._scales = folded_scales(self._source)
            if not self._scales:
                self._warnings.append(
                    "no normalisation scales a channel here: channels are ranked by the L2 norm of "
                    "their weights"
                )
        model, notes = floats.optimized(
            self._source,
            self._target.name,
            "prune the float model that it was made from, then quantize",
            # layers that shared weights could not shrink apart; rows of a Gemm hide their axes
            skip=("share-initializers", *floats.HIDING),
            observers=self._request.observers,
            seed=self._request.seed,
        )
        self._notes += notes
        _refuse_half(model)
        shapes.infer(model)
        return model

    def _finish(self, model: ir.Model) -> None:
        tail = floats.last_passes(self._target, floats.HIDING)
        Pipeline.parse(tail).run(model, Context(target=self._target))

    def _warn(self, count: int) -> None:
        if self._request.samples is None:
            self._warnings.append(
                "no samples: channels are chosen and weights refitted on made-up inputs, and the "
                "result may be worth nothing on real ones; pass --samples"
            )
        elif self._request.recover == "refit" and count < FEW:
            self._warnings.append(
                f"{count} samples are few to refit weights on; 500 and more do better"
            )

    def _context(self, split: Split, model: ir.Model) -> Context:
        return Context(
            target=self._target,
            evaluate=lossless.reference(),
            load=catalogue.backend(lossless.STREAM).open,
            samples=batched(split.fitting(), model),
            seed=self._request.seed,
            progress=self._telling,
        )

    def _telling(self, what: str, done: int, of: int | None) -> None:
        self._request.progress(done / of if of else 0.0, what)

    def _told(self, what: str) -> None:
        self._request.progress(1.0, what)

    def _gauge(self, model: ir.Model, feeds: Feeds) -> contextlib.AbstractContextManager[Gauge]:
        of = self._request.goal.of
        if of == "latency":
            return Timed(model, self._backend, feeds, self._request.seed, self._telling)
        return contextlib.nullcontext(Counted(of, sizes_of(model, feeds)))

    def _check(self, outcome: Outcome) -> None:
        goal = self._request.goal
        if not outcome.groups:
            reasons = sorted({reason for _, reason in outcome.blocked})[:3]
            why = f": {'; '.join(reasons)}" if reasons else ""
            raise ModelError(
                f"the model has no channels that may go{why}; see --only, --skip and --least"
            )
        if outcome.unfitted:
            some = ", ".join(outcome.unfitted[:3])
            more = f" and {len(outcome.unfitted) - 3} more" if len(outcome.unfitted) > 3 else ""
            self._notes.append(
                f"cut and not refitted, for onnxopt cannot solve for their weights: {some}{more}"
            )
        if not outcome.reached:
            left = outcome.after / outcome.before if outcome.before else 1.0
            self._warnings.append(
                f"{100 * left:.1f} % of the {NAMES[goal.of]} are left, not "
                f"{100 * goal.share:.1f} %: what may shrink is as small as it may be; lower "
                "--least, or skip less"
            )

    def _report(
        self,
        whole: ir.Model,
        thin: ir.Model,
        outcome: Outcome,
        fitted: int,
        held: Sequence[Feeds],
    ) -> PruneReport:
        goal = self._request.goal
        return PruneReport(
            model=_name(self._source),
            target=self._request.target,
            ratios=self._request.ratios,
            options=self._request.told(),
            of=goal.of,
            share=goal.share,
            left=outcome.after / outcome.before if outcome.before else 1.0,
            reached=outcome.reached,
            groups=[
                _group_row(group, each=self._request.ratios == "importance")
                for group in outcome.groups
            ],
            layers=[
                LayerRow(name=r.name, before=r.before, after=r.after) for r in outcome.refitted
            ],
            blocked=dict(outcome.blocked),
            before=Contents.of(whole, sizes_of(whole, held[0])),
            after=Contents.of(thin, sizes_of(thin, held[0])),
            fitted_on=fitted,
            compared_on=len(held),
            warnings=self._warnings,
            notes=self._notes,
        )

    def _measure(self, whole: ir.Model, thin: ir.Model, feeds: Feeds, report: PruneReport) -> None:
        with tempfile.TemporaryDirectory(prefix="onnxopt-") as place:
            folder = Path(place)
            io.save(whole, folder / "whole.onnx")
            io.save(thin, folder / "thin.onnx")
            variants = [
                Variant(label=label, model=folder / f"{name}.onnx", backend=self._backend)
                for name, label in (("whole", "the model given"), ("thin", "the pruned model"))
            ]
            effort = Effort(budget_s=self._request.budget_s)
            found = bench(
                variants,
                feeds=[feeds],
                effort=effort,
                seed=self._request.seed,
                progress=self._request.progress,
            )
        row = found.rows[1]
        report.latency, report.verdict = row.ratio, row.verdict or (row.error or "")
        report.warnings += found.warnings
        goal = self._request.goal
        if goal.of != "latency" and row.outcome == "slower":
            block = 0 if self._request.multiple else self._target.channel_block
            report.warnings.append(slower(block))
        if goal.of == "latency" and row.ratio is not None:
            missed = row.ratio.value / goal.share - 1
            report.warnings += [late(goal.share, row.ratio)] if missed > MISSED else []
            report.notes += [early(goal.share, row.ratio)] if missed < -MISSED else []


def _refuse_half(model: ir.Model) -> None:
    """Raise ModelError where most weights are of two bytes: their layers could not be refitted."""
    sizes = dict.fromkeys((ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16), 0)
    for _, weight in graph.weights(model):
        if weight.dtype in sizes:
            sizes[weight.dtype] += weight.size
    if max(sizes, key=lambda dtype: sizes[dtype]) is not ir.DataType.FLOAT:
        raise ModelError(
            "the weights are in half precision, which cannot be refitted: prune the float32 model, "
            "then 'onnxopt quantize --scheme float16'"
        )


def _group_row(group: Thinned, *, each: bool) -> GroupRow:
    """Return a row; ``each`` says that costs count units, and are to be shares of the group."""
    unit = 1 / group.before if each else 1.0
    return GroupRow(
        name=group.name,
        before=group.before,
        after=group.after,
        cost=unit * group.costs.get(group.after, 0.0),
        costs={width: unit * cost for width, cost in group.costs.items()},
    )


def _name(source: ir.Model | Path) -> str:
    return str(source) if isinstance(source, Path) else source.graph.name or "the model"
