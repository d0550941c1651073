"""Compare the numbers of two models over a stream of samples."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir

from onnxopt import io
from onnxopt.comparison.errors import Errors
from onnxopt.comparison.layers import Parting, layers
from onnxopt.comparison.metrics import Metric, fitting
from onnxopt.comparison.named import metric_of
from onnxopt.comparison.report import CompareReport, Limits, Output
from onnxopt.comparison.rounding import Suspects
from onnxopt.comparison.scores import Change, Scores
from onnxopt.comparison.sides import Adapter, Side, backend_for
from onnxopt.elements import leaves
from onnxopt.errors import ModelError, UsageError
from onnxopt.evaluate import Run
from onnxopt.feeds import Plan, settled
from onnxopt.graph import dims
from onnxopt.samples import Sample, Samples
from onnxopt.spec import nearest
from onnxopt.split import CALIBRATING, Split
from onnxopt.target import Feeds, Outputs
from onnxopt.verify import Tolerance

LAYER_SAMPLES = 4
"""Samples for which the insides of the models are compared."""

_NEAR = 40.0
"""Decibels below which no rounding is suspected."""

Told = Callable[[str], None]
"""Takes what happens now."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a comparison."""

    first: ir.Model | Path
    second: ir.Model | Path
    samples: Path | Samples | None = None
    held_back: bool = False
    """Of the samples take those alone that quantizing does not calibrate on."""
    provider: str = "cpu"
    against_provider: str | None = None
    """What the second model runs on, where that is another target."""
    optimization: str = "off"
    """How far the runtime may rewrite the second model; the first runs as it is written."""
    layers: bool = False
    metrics: tuple[str, ...] = ()
    """Names, or ``module:function``; what suits the labels where there are none."""
    output: str | None = None
    """The output that metrics are taken from, by the first model's name."""
    limits: Limits = dataclasses.field(default_factory=Limits)
    seed: int = 0


def compare(request: Request, told: Told = lambda _: None) -> CompareReport:
    """Run both models on every sample and say how far they are apart.

    Memory does not grow with the number of samples. Raises ModelError for a model that cannot be
    read, inputs that no data fits, labels that do not fit, UsageError for unknown metrics and
    options, BackendError where a target cannot be used here.
    """
    return _Comparison(request, told).run()


class _Comparison:
    def __init__(self, request: Request, told: Told) -> None:
        if request.held_back and request.samples is None:
            raise UsageError("nothing is held back where there are no samples: name them")
        self.request = request
        self.told = told
        self.metrics = tuple(metric_of(name, request.output) for name in request.metrics)
        self.sides = _sides(request)
        self.first, self.second = self.sides[0].model, self.sides[1].model
        names = [value.name or "" for value in self.first.graph.outputs]
        if request.output is not None and request.output not in names:
            hint = nearest(request.output, names) or f"; it has {', '.join(names)}"
            raise UsageError(f"the first model has no output '{request.output}'{hint}")
        self.adapter = Adapter(self.first, self.second)
        self.tolerance = _coarser(Tolerance.of(self.first), Tolerance.of(self.second))
        self.errors: dict[str, Errors] = {}
        self.scores: list[Scores] | None = [Scores(m) for m in self.metrics] or None
        self.suspects = Suspects(self.tolerance)
        self.kept: list[Feeds] = []
        self.count = 0
        self.described = ""

    def run(self) -> CompareReport:
        with contextlib.ExitStack() as stack:
            runs = [stack.enter_context(side.opened()) for side in self.sides]
            for sample in self._samples(runs[0]):
                self._take(sample, *runs)
        if not self.count:
            raise ModelError("there are no samples to compare on; check the path of the samples")
        excused = self._excused()
        parting = self._parting() if self.request.layers else None
        return CompareReport(
            names=(self.sides[0].label, self.sides[1].label),
            targets=(_target(self.sides[0]), _target(self.sides[1])),
            samples=self.count,
            described=self.described,
            tolerance=self.tolerance,
            outputs=tuple(
                Output(name=name, errors=errors, excused=excused.get(name))
                for name, errors in self.errors.items()
            ),
            alone=tuple(self.adapter.alone),
            metrics=tuple(self._changes()),
            parting=parting,
            limits=self.request.limits,
            notes=tuple(self.adapter.notes),
        )

    def _take(self, sample: Sample, first: Run, second: Run) -> None:
        """Run both models on one sample and add up."""
        self.told(f"sample {self.count + 1}")
        expected = first(sample.feeds)
        expected, actual = self.adapter.outputs(expected, second(self.adapter.feeds(sample.feeds)))
        excess = max(self._add(name, expected[name], actual[name]) for name in expected)
        self.suspects.consider(excess, sample.feeds, expected, actual)
        if len(self.kept) < LAYER_SAMPLES and self.request.layers:
            self.kept.append(sample.feeds)
        self._score(expected, actual, sample)
        self.count += 1

    def _add(self, name: str, expected: Any, actual: Any) -> float:
        """Add one output, or each element of a sequence or map; return the largest error."""
        mine, theirs = dict(leaves(name, expected)), dict(leaves(name, actual))
        if mine.keys() != theirs.keys():
            errors = self.errors.setdefault(name, Errors())
            errors.misshapen = f"{len(mine)} and {len(theirs)} elements"
            return math.inf
        return max(
            (self.errors.setdefault(leaf, Errors()).add(mine[leaf], theirs[leaf]) for leaf in mine),
            default=0.0,
        )

    def _score(self, expected: Outputs, actual: Outputs, sample: Sample) -> None:
        if self.scores is None:
            found: Sequence[Metric] = ()
            if sample.label is not None:
                found = fitting(expected, sample.label, self.request.output)
            self.scores = [Scores(metric) for metric in found]
        if not self.scores and self.request.limits.max_drop is not None:
            raise UsageError(
                "a drop can be limited only for a metric: give samples with labels, or the metric "
                "'agreement'"
            )
        for scores in self.scores:
            scores.add(expected, actual, sample.label)

    def _changes(self) -> Iterator[Change]:
        for scores in self.scores or ():
            change = scores.change(self.request.seed)
            if change is not None:
                yield change

    def _samples(self, run: Run) -> Iterator[Sample]:
        """Read the samples, or make two up that the first model accepts."""
        given = self.request.samples
        if given is not None:
            inputs = [value for value in self.first.graph.inputs if not value.is_initializer()]
            stream = given if isinstance(given, Samples) else Samples.from_path(given, inputs)
            self.described = "" if isinstance(given, Samples) else f"from {given}"
            if self.request.held_back:
                stream = Split(stream, CALIBRATING).compared()
                held = "those that quantizing holds back"
                self.described = f"{self.described}, {held}" if self.described else f"({held})"
            yield from stream.labelled()
            return
        plan = _common(Plan.of(self.first), self.second)
        found = settled(plan, run, self.request.seed)
        modes = " and ".join(entry[1].value for entry in found)
        self.described = f"made up from the model's inputs, {modes} values"
        yield from (Sample(entry[2]) for entry in found)

    def _excused(self) -> dict[str, str]:
        if self.request.limits.given:
            return {}
        near = (e.misshapen is None and not e.sqnr < _NEAR for e in self.errors.values())
        if not all(near):
            return {}
        return self.suspects.excused(self.sides[0], _reload(self.request.first))

    def _parting(self) -> Parting:
        self.told("layer by layer")
        pairs = [(feeds, self.adapter.feeds(feeds)) for feeds in self.kept]
        request = self.request
        others = request.against_provider or request.provider
        backends = (backend_for(request.provider, "off")[0], backend_for(others, "off")[0])
        floor = -20 * math.log10(self.tolerance.relative)
        return layers((self.first, self.second), backends, pairs, floor)


def _sides(request: Request) -> tuple[Side, Side]:
    others = request.against_provider or request.provider
    made = []
    for source, provider, level in (
        (request.first, request.provider, "off"),
        (request.second, others, request.optimization),
    ):
        backend, optimized = backend_for(provider, level)
        model = io.load(source) if isinstance(source, Path) else source
        label = str(source) if isinstance(source, Path) else model.graph.name or "a model"
        made.append(Side(label=label, model=model, backend=backend, optimized=optimized))
    return made[0], made[1]


def _target(side: Side) -> str:
    name = type(side.backend).__module__.rpartition(".")[2]
    return f"{name}, {'optimized by the runtime' if side.optimized else 'as it is written'}"


def _coarser(one: Tolerance, other: Tolerance) -> Tolerance:
    return Tolerance(eps=max(one.eps, other.eps), depth=max(one.depth, other.depth))


def _reload(source: ir.Model | Path) -> Callable[[], ir.Model]:
    return source.clone if isinstance(source, ir.Model) else lambda: io.load(source)


def _common(plan: Plan, other: ir.Model) -> Plan:
    """Take the sizes that the second model fixes."""
    fixed = {value.name: dims(value) for value in other.graph.inputs}
    needs = []
    for need in plan.needs:
        known = fixed.get(need.name)
        if known is not None and len(known) == len(need.dims):
            sizes = tuple(
                theirs if isinstance(theirs, int) and isinstance(mine, str) else mine
                for mine, theirs in zip(need.dims, known, strict=True)
            )
            need = dataclasses.replace(need, dims=sizes)
        needs.append(need)
    return Plan.for_needs(tuple(needs))
