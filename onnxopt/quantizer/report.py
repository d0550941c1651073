"""What a quantization did: readable on a console or by a machine."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from onnxopt.comparison.words import points_text
from onnxopt.measure.intervals import Estimate
from onnxopt.measure.verdict import faster_in_all
from onnxopt.plain import plain
from onnxopt.render import Paper, bytes_text

if TYPE_CHECKING:
    from onnxopt.page import Page

SHOWN = 12
"""Rows of the table of layers; JSON and the page hold all."""

COLUMNS = ("scheme", "layers", "integer", "signal", "agreement", "weights", "latency")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What quantizing a layer costs, and what it saves."""

    layer: str
    signal_db: float
    """Signal over error of the outputs when nothing else is quantized."""
    gain_s: float | None
    """Seconds a run that it saves, changes of form not counted; None where nothing was measured."""
    integer: bool = False
    """Whether it is quantized in the result."""

    def cells(self) -> list[str]:
        """Return a row of the table."""
        gain = "-" if self.gain_s is None else f"{1e6 * self.gain_s:.1f} us"
        signal = "-" if math.isinf(self.signal_db) else f"{self.signal_db:.1f} dB"
        return [self.layer, signal, gain, "integer" if self.integer else "float"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Portability:
    """What becomes of a quantized model on x86 without VNNI, where sums saturate at 16 bits."""

    sqnr_db: float
    """Signal over error of the worst output, as ``Tried.sqnr_db``."""
    agreement: float | None
    touched: dict[str, float]
    """Products whose outputs saturation changes, with the share of the numbers that it does."""

    def line(self, scheme: str, sqnr_db: float, agreement: float | None) -> str:
        """Say what is lost beyond what quantization costs anyway."""
        if not self.touched:
            return f"{scheme}: nothing saturates on x86 without VNNI"
        named = sorted(self.touched.items(), key=lambda item: -item[1])[:NAMED]
        shown = _some([f"{name} ({100 * share:.2g} %)" for name, share in named], len(self.touched))
        lost = f"on x86 without VNNI {_instead(f'{self.sqnr_db:.1f} dB', f'{sqnr_db:.1f} dB')}"
        if agreement is not None and self.agreement is not None:
            shares = (f"{100 * share:.1f} %" for share in (self.agreement, agreement))
            lost += f", agreement {_instead(*shares)}"
        return f"{scheme}: {lost}; it saturates in {shown}; {_portable(scheme)}"


def _instead(found: str, usual: str) -> str:
    """Say what is found, and what is usual where it differs: not where the target saturates."""
    return found if found == usual else f"{found} instead of {usual}"


def _portable(scheme: str) -> str:
    """Say what of the same kind saturates on no processor."""
    if scheme.startswith("int8"):
        kind = "int8-dynamic-portable" if scheme.startswith("int8-dynamic") else "int8-portable"
        return f"{kind} does not"
    return "with portable=true nothing does"


RUINED = 1e9
"""The drop of a model that the target does not run."""

NAMED = 8
"""Names in one line."""


def _some(shown: Sequence[str], count: int) -> str:
    more = f" and {count - len(shown)} more" if count > len(shown) else ""
    return f"{', '.join(shown)}{more}"


@dataclasses.dataclass(kw_only=True)
class Tried:
    """One way to quantize that was tried."""

    scheme: str
    layers: int = 0
    """Layers that are quantized."""
    integer_share: float | None = None
    """The share of the multiply-adds of products with weights that is foretold to be integer."""
    confirmed: bool | None = None
    """Whether the layers that ran as integer kernels are those foretold; None where unknown."""
    unlike: list[str] = dataclasses.field(default_factory=list)
    """Nodes that ran as integer kernels and were not foretold, or the other way."""
    sqnr_db: float | None = None
    """Signal over error of the worst output, on samples that calibration did not see."""
    agreement: float | None = None
    least_db: float | None = None
    """What the types explain."""
    in_float: dict[str, float] = dataclasses.field(default_factory=dict)
    """Layers that were put back, with the signal over the error of each alone in dB."""
    loudest: dict[str, float] = dataclasses.field(default_factory=dict)
    """Where it is refused: layers that are still quantized, as ``in_float``, the worst first."""
    slower: list[str] = dataclasses.field(default_factory=list)
    """Layers that stay in float because they are faster there, by the times of the parts."""
    metric: str | None = None
    """What a budget was set on."""
    drop: float | None = None
    """How far it has fallen on the samples held back."""
    whole_drop: float | None = None
    """How far it falls with all layers quantized, where that is beyond the budget."""
    share: bool = False
    """Whether the metric is a share, from 0 to 1."""
    calibrates: bool = False
    """Whether a pass ran the model on the samples that calibrate."""
    bits: int = 0
    """The bits of its scheme; 0 where nothing was rounded."""
    interrupted: bool = False
    """The search was cut short; this is the best until then."""
    sensitivity: list[Sensitivity] = dataclasses.field(default_factory=list)
    """Layer by layer, the most damaging first; where a search had to look at them."""
    weight_bytes: int = 0
    portability: Portability | None = None
    """Where it was asked for."""
    latency: Estimate | None = None
    """Over that of the model given."""
    outcome: str | None = None
    """What the measurement came to: faster, slower, same, or unknown where nothing can be told."""
    verdict: str = ""
    refused: str | None = None
    """Why it cannot be handed back."""
    runs_with: str = ""
    """The target with the setting that this is, where it is not in the model alone."""

    @property
    def noise(self) -> float:
        """The energy of the error over that of the signal; infinite where it is not known."""
        return math.inf if self.sqnr_db is None else 10 ** (-self.sqnr_db / 10)

    def taken(self, layers: Collection[str]) -> None:
        """Say of each layer whether it is one of those quantized in the result."""
        self.sensitivity = [
            dataclasses.replace(each, integer=each.layer in layers) for each in self.sensitivity
        ]

    def measured_again(self, ratio: Estimate | None, verdict: str) -> None:
        """Take a second measurement in: the mean of both ratios, and an interval that holds both.

        Its ``verdict`` stands where both together do not tell that this is faster.
        """
        if self.latency is None or ratio is None:
            return
        self.latency, self.verdict = faster_in_all(self.latency, ratio)
        if self.latency.high >= 1:
            self.outcome, self.verdict = "unknown", verdict

    def cells(self) -> list[str]:
        """Return a row of the table."""
        share = "-" if self.integer_share is None else f"{100 * self.integer_share:.0f} %"
        return [
            self.scheme,
            str(self.layers or "-"),
            share,
            "-" if self.sqnr_db is None or math.isinf(self.sqnr_db) else f"{self.sqnr_db:.1f} dB",
            "-" if self.agreement is None else f"{100 * self.agreement:.1f} %",
            bytes_text(self.weight_bytes) if self.weight_bytes else "-",
            "-" if self.latency is None else f"{self.latency.value:.3f}",
        ]

    def kept(self) -> Iterator[str]:
        """Yield which layers stay in float, and why."""
        if self.whole_drop is not None:
            yield (
                f"{self.scheme}: with all of its layers {self._fall(self.whole_drop)}, beyond the "
                "budget, so some went back to float; the samples that score it chose them, too: "
                "fresh ones may read a little worse"
            )
        finite = {name: db for name, db in self.in_float.items() if math.isfinite(db)}
        costly = sorted(finite.items(), key=lambda pair: pair[1])
        if costly:
            shown = [f"{name} ({db:.1f} dB)" for name, db in costly[:NAMED]]
            kept = _some(shown, len(costly))
            yield f"{self.scheme}: nodes back in float, what costs most alone first: {kept}"
        idle = [name for name in self.in_float if name not in finite]
        if idle:
            kept = _some(idle[:NAMED], len(idle))
            yield f"{self.scheme}: nodes in float too, for nothing beside them is integer: {kept}"
        if self.slower:
            kept = _some(self.slower[:NAMED], len(self.slower))
            yield f"{self.scheme}: nodes that stay in float, where they are faster: {kept}"

    def fall(self) -> str:
        """Say how far the metric of a budget has fallen; nothing without one."""
        return "" if self.drop is None else self._fall(self.drop)

    def _fall(self, drop: float) -> str:
        if math.isnan(drop):
            return f"{self.metric} is no number"
        if drop >= RUINED:
            return f"{self.metric} cannot be scored: the target does not run it"
        if not drop:
            return f"{self.metric} stays as it is"
        by = points_text(abs(drop)) if self.share else f"{abs(drop):.4g}"
        return f"{self.metric} gets {'worse' if drop > 0 else 'better'} by {by}"

    def remarks(self) -> Iterator[str]:
        """Yield what is to be said of it beside its figures."""
        yield from self.kept()
        if self.loudest:
            shown = [f"{name} ({db:.1f} dB)" for name, db in list(self.loudest.items())[:NAMED]]
            yield f"{self.scheme}: what costs most alone: {_some(shown, len(self.loudest))}"
        if self.drop is not None:
            yield f"{self.scheme}: {self.fall()}"
        if self.confirmed is False:
            nodes = _some(self.unlike[:NAMED], len(self.unlike))
            yield f"{self.scheme}: not as foretold ran on integers, or in float: {nodes}"
        if self.portability is not None and self.sqnr_db is not None:
            yield self.portability.line(self.scheme, self.sqnr_db, self.agreement)
        if self.refused:
            yield f"{self.scheme}: not taken, {self.refused}"
        elif self.verdict:
            yield f"{self.scheme}: {self.verdict}"


@dataclasses.dataclass(kw_only=True)
class QuantizeReport:
    """What was tried, what came out, and why that was chosen."""

    model: str
    target: str
    pipeline: str
    """What makes the result again."""
    passes: str
    """Those of its passes that quantize, which stand for a scheme; nothing where none do."""
    chosen: str
    """The scheme handed back; ``float`` where none was better."""
    why: str
    tried: list[Tried]
    calibrated_on: int
    compared_on: int
    scored_on: int
    """Samples that a metric was taken from, where a budget on one was set."""
    warnings: list[str]
    unsteady: list[str]
    """What the measurement says of the machine: it makes intervals wide, not results wrong."""
    notes: list[str]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return dict(plain(dataclasses.asdict(self)))

    def counted(self) -> str:
        """Say how many samples it rests on, and what latency is a share of."""
        if not self.compared_on:
            return "nothing was compared"
        uses = (
            (self.calibrated_on, "to calibrate"),
            (self.compared_on, "to compare"),
            (self.scored_on, "to score"),
        )
        samples = f"samples: {', '.join(f'{count} {use}' for count, use in uses if count)}"
        timed = any(row.latency is not None for row in self.tried)
        return samples + ("; latency is a share of that of the model given" if timed else "")

    def to_page(self) -> Page:
        """Put it on a page."""
        from onnxopt.quantizer.page import page_of

        return page_of(self)

    def render(self, paper: Paper) -> None:
        """Write the table, what was put back, and the choice."""
        paper.table([list(COLUMNS), *(row.cells() for row in self.tried)])
        paper.line()
        for row in self.tried:
            if row.sensitivity:
                paper.line(f"{row.scheme}, one layer at a time:")
                head = ["layer alone", "signal", "saves", "taken"]
                paper.table([head, *(each.cells() for each in row.sensitivity[:SHOWN])])
                if len(row.sensitivity) > SHOWN:
                    paper.line(f"the worst {SHOWN} of {len(row.sensitivity)}; --html draws all")
                paper.line()
            for remark in row.remarks():
                paper.line(remark)
        paper.line(self.counted())
        if self.pipeline:
            paper.line(f"pipeline: {self.pipeline}")
        for note in (*self.notes, *self.unsteady):
            paper.line(f"note: {note}")
        for row in self.tried:
            if row.scheme == self.chosen and row.runs_with:
                paper.line(f"what was measured runs with: {row.runs_with}")
        paper.line(f"{self.chosen}: {self.why}")
