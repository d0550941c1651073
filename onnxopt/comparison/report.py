"""What a comparison found, and whether that is within bounds."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Iterator
from typing import Any

from onnxopt.comparison.errors import Errors
from onnxopt.comparison.layers import Parting
from onnxopt.comparison.scores import Change
from onnxopt.comparison.words import (
    change_text,
    decibels,
    layer_rows,
    parting_lines,
    share_text,
    unshown,
    worst_text,
)
from onnxopt.plain import json_text, plain
from onnxopt.render import Paper
from onnxopt.verify import Tolerance


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """How far apart the models may be; where nothing is given, as far as rounding explains."""

    tolerance: float | None = None
    """The largest error of an element, as a share of its scale."""
    min_sqnr: float | None = None
    """In dB, over all samples, for every floating-point output."""
    max_drop: float | None = None
    """Of the first metric, in its own unit: 0.01 is one point of accuracy."""

    @property
    def given(self) -> bool:
        """Whether there are any."""
        return any(limit is not None for limit in dataclasses.astuple(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Output:
    """One output of both models, over all samples."""

    name: str
    errors: Errors
    excused: str | None = None
    """What shows that rounding moves the first model's own output as far."""

    def beyond(self, limits: Limits, tolerance: Tolerance) -> str | None:
        """Say what is out of bounds, None where nothing is."""
        errors, what = self.errors, f"output '{self.name}'"
        if errors.misshapen is not None:
            return f"{what} has other types or shapes: {errors.misshapen}"
        if self.excused is not None:
            return None
        if errors.strange:
            return f"{what}: {errors.strange:,} elements are NaN or infinite in one model only"
        if limits.min_sqnr is not None and errors.sqnr < limits.min_sqnr:
            return f"{what}: SQNR {errors.sqnr:.1f} dB, where {limits.min_sqnr:g} are asked for"
        if limits.given and limits.tolerance is None:
            return None
        limit = tolerance.relative if limits.tolerance is None else limits.tolerance
        if errors.mismatches:
            return f"{what}: {errors.mismatches:,} of {errors.elements:,} elements differ"
        if errors.relative is None or errors.relative.value <= limit:
            return None
        return f"{what} differs by {errors.relative.value:.2g} of its scale; allowed: {limit:.2g}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareReport:
    """How far two models are apart. ``str`` is what a person reads."""

    names: tuple[str, str]
    targets: tuple[str, str]
    """What each of them ran on."""
    samples: int
    described: str
    """Where the samples are from."""
    tolerance: Tolerance
    """How far apart rounding may put them."""
    outputs: tuple[Output, ...]
    alone: tuple[str, ...]
    """What is said of outputs that only one of them has."""
    metrics: tuple[Change, ...]
    parting: Parting | None
    limits: Limits
    notes: tuple[str, ...]

    @property
    def faults(self) -> list[str]:
        """What is out of bounds."""
        return list(self._faults())

    def _faults(self) -> Iterator[str]:
        yield from self.alone
        for output in self.outputs:
            fault = output.beyond(self.limits, self.tolerance)
            if fault is not None:
                yield fault
        most = self.limits.max_drop
        if most is not None and not self.metrics:
            yield f"no metric was scored, where a drop of {most:g} is allowed: no label counts"
        elif most is not None and not self.metrics[0].drop <= most:  # nor where it is no number
            metric = self.metrics[0]
            yield f"{metric.name} drops by {metric.drop:.4g}, where {most:g} is allowed"

    @property
    def within(self) -> bool:
        """Whether all is within bounds."""
        return not self.faults

    @property
    def equal(self) -> bool:
        """Whether every element of every sample is the same."""
        return not self.alone and all(output.errors.equal for output in self.outputs)

    @property
    def verdict(self) -> str:
        """Say in one line how it stands."""
        if self.equal:
            return f"the same to the bit, on {self._on}"
        if not self.within:
            return f"{'outside the limits' if self.limits.given else 'different'}, on {self._on}"
        if self.limits.given:
            return f"within the limits, on {self._on}"
        return f"equal up to rounding, on {self._on}"

    @property
    def _on(self) -> str:
        samples = f"{self.samples:,} sample{'s' if self.samples != 1 else ''}"
        return f"{samples} {self.described}".rstrip()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; numbers that are not finite become None."""
        found: dict[str, Any] = plain(dataclasses.asdict(self))
        for told, output in zip(found["outputs"], self.outputs, strict=True):
            told["errors"] |= plain({"sqnr": output.errors.sqnr, "cosine": output.errors.cosine})
            told["errors"]["equal"] = output.errors.equal
            if output.errors.agreement is not None:
                told["errors"]["agreement"]["share"] = output.errors.agreement.share
        for metric, change in zip(found["metrics"], self.metrics, strict=True):
            metric["drop"] = plain(change.drop)
            metric["within_noise"] = change.within_noise
        if self.parting is not None:
            first = self.parting.first
            found["parting"]["first"] = None if first is None else first.name
            found["parting"]["costly"] = [layer.name for layer in self.parting.costly]
        head = {"within": self.within, "equal": self.equal, "verdict": self.verdict}
        return {**head, "faults": self.faults, **found}

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json_text(self.to_dict())

    def __str__(self) -> str:
        page = io.StringIO()
        self.render(Paper(page))
        return page.getvalue()

    def render(self, paper: Paper) -> None:
        """Write the verdict, what is out of bounds, then errors, metrics and layers."""
        paper.line(self.verdict)
        for fault in self.faults:
            paper.line(f"  {fault}")
        paper.line()
        paper.table(output_table(self))
        for line in self.remarks():
            paper.line(line)
        if self.metrics:
            paper.line()
            for change in self.metrics:
                paper.line(change_text(change))
        if self.parting is not None:
            paper.line()
            for line in parting_lines(self.parting):
                paper.line(line)
            if self.parting.layers:
                paper.line()
                paper.table(layer_rows(self.parting))
                left = unshown(self.parting)
                if left:
                    paper.line(f"and {left} more, evenly left out; --html and --json have all")

    def remarks(self) -> Iterator[str]:
        """Yield what has to be known to read the figures."""
        yield f"first: {self.names[0]} on {self.targets[0]}"
        yield f"second: {self.names[1]} on {self.targets[1]}"
        if any(output.errors.relative for output in self.outputs):
            yield f"rounding explains {self.tolerance}"
        for output in self.outputs:
            found = output.errors.agreement
            if found is not None:
                yield (
                    f"agreement of '{output.name}': argmax over axis {found.axis}, "
                    f"{found.size} long, at {found.total:,} places"
                )
            if output.errors.widened is not None:
                yield f"'{output.name}' is {output.errors.widened}"
            if output.excused is not None:
                yield f"accepted: {output.excused}"
        yield from (f"note: {note}" for note in self.notes)
        if self.parting is None and not self.within:
            yield "--layers shows where inside the two part"


def output_table(report: CompareReport) -> list[list[str]]:
    """Return the errors of every output, a row each, under a head."""
    head = ["output", "SQNR", "cosine", "worst", "relative", "agreement", "unequal"]
    rows = [head]
    for output in report.outputs:
        errors = output.errors
        agreement = errors.agreement
        rows.append(
            [
                output.name,
                "equal" if errors.equal else decibels(errors.sqnr),
                "-" if math.isnan(errors.cosine) else f"{errors.cosine:.6f}",
                worst_text(errors.absolute),
                "0" if errors.relative is None else f"{errors.relative.value:.1e}",
                "-" if agreement is None else share_text(agreement.share),
                _unequal(errors),
            ]
        )
    return rows


def _unequal(errors: Errors) -> str:
    if errors.misshapen is not None:
        return "types or shapes"
    return f"{errors.strange + errors.mismatches:,}"
