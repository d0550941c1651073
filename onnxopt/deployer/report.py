"""What a deployment did: readable on a console, by a machine, and as a page."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

from onnxopt.comparison.words import share_text
from onnxopt.deployer.code import plain_code
from onnxopt.measure.text import time_text
from onnxopt.plain import plain
from onnxopt.render import Paper, bytes_text

GIVEN, EXPORTED = "given", "exported"
"""The first file: a model that is ONNX already, or what became of a framework's."""
OPTIMIZED, QUANTIZED = "optimized", "quantized"

COLUMNS = ("", "nodes", "weights", "median", "ratio (95 %)", "metric")

_READING = (
    "In brackets: the {first} one's median in the same measurement; medians of different ones do "
    "not compare. A ratio is of runs side by side, so it need not be that of the medians; below 1 "
    "is faster."
)
_NOISE = "The {first} one beside itself reads {low:.3f} to {high:.3f}."
_TWICE = (
    "The {best} one was measured {times}: {before}{one} with the others, {two} by itself; its "
    "ratio is their geometric mean, and the interval holds {all}."
)
_NODES = "The runtime fuses away the nodes that quantize and dequantize."
_EXAMPLES = (
    "A metric is that of the {first} one, then its own (examples scored: all, or those held back "
    "from calibration)."
)
UNSTEADY = "the machine was not steady all the time; another time the figures may be others"

Span = tuple[float, float, float]
"""A ratio of latencies and the ends of its 95 % interval."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
    """A metric before and after, on the examples that it was taken from."""

    name: str
    share: bool
    """Whether it is one, from 0 to 1."""
    before: float
    after: float
    examples: int
    low: float | None = None
    """The lower end of the 95 % interval of its change; None where one is not known."""
    high: float | None = None

    def ends(self) -> tuple[str, str]:
        """Return both as text."""
        one, other = (
            share_text(each) if self.share else f"{each:.4g}" for each in (self.before, self.after)
        )
        return one, other

    def cell(self) -> str:
        """Return it as it stands in a table."""
        return f"{self.name} {' -> '.join(self.ends())} ({self.examples:,})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Near:
    """How near one output is to the first one's."""

    output: str
    sqnr_db: float | None
    """Signal over error; None where they are equal."""
    agreement: float | None
    """How often the largest element stays the largest; None where that has no meaning."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """One file that could be deployed. Times are in seconds; ratios are to the first one."""

    label: str
    file: str
    nodes: int
    weight_bytes: int
    how: str = ""
    """The scheme by which it is quantized."""
    changes: dict[str, int] = dataclasses.field(default_factory=dict)
    """Rewrites by pass, of the optimized one."""
    agrees: str = ""
    """How its outputs compare with the first one's, and what is allowed."""
    checked: str = ""
    """How it was verified while it was made, of the optimized one."""
    samples: int = 0
    """On how many samples they were compared."""
    outputs: tuple[Near, ...] = ()
    metrics: tuple[Scored, ...] = ()
    remarks: tuple[str, ...] = ()
    """What else is to be known of it."""
    median_s: float | None = None
    beside_s: float | None = None
    """The first one's median in the same measurement."""
    ratio: Span | None = None
    """Of the best of several the mean of its measurements; the interval holds all of them."""
    chosen_for: Span | None = None
    """The ratio for which it was measured again, of all side by side."""
    second: Span | None = None
    """The ratio of the second measurement, of it and the first one alone."""
    quantizing: Span | None = None
    """Of the quantized one, the ratio that was measured while quantizing."""
    noise: Span | None = None
    """Of the first one: its ratio to itself, within which nothing is told."""
    open_s: float | None = None
    """Seconds to open it."""
    peak_bytes: int = 0
    """Peak memory of the process that ran it."""
    outcome: str | None = None
    """faster, slower, same, or unknown where nothing could be told."""
    verdict: str = ""
    refused: str | None = None
    """Why it cannot be deployed."""

    @property
    def name(self) -> str:
        """What it is called, with its scheme."""
        return f"{self.label} ({self.how})" if self.how else self.label

    def times(self) -> str:
        """Return its median, and in brackets the first one's of the same measurement."""
        if self.median_s is None:
            return "-"
        beside = "" if self.beside_s is None else f" ({time_text(self.beside_s)})"
        return f"{time_text(self.median_s)}{beside}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opening:
    """A way to open a session that was measured beside the default one."""

    target: str
    means: str
    median_s: float | None = None
    ratio: Span | None = None
    outcome: str | None = None
    verdict: str = ""

    @property
    def told(self) -> str:
        """Say how it fares beside the default."""
        ratio = "" if self.ratio is None else f" {self.ratio[0]:.2f} of its time"
        unsure = ", undecided" if self.outcome == "unknown" else ""
        return f"{self.target} ({self.means}){ratio}{unsure}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeployReport:
    """What was exported and changed, how exact and how fast it is. ``str`` is for people."""

    source: str
    target: str
    model: str
    """The file to deploy."""
    chosen: str
    why: str
    candidates: tuple[Candidate, ...]
    inputs: tuple[str, ...]
    """The names of its inputs."""
    session: str
    """The target with the options to open it with, kept in the file: ``onnxopt.session``."""
    session_why: str
    ways: tuple[Opening, ...]
    """Ways to open it that were measured, beside the default one."""
    shipped: tuple[Opening, ...]
    """Where another is the fastest: that way and the first file opened so, both beside the first
    file as it is opened by default."""
    export: dict[str, Any]
    not_taken: tuple[str, ...]
    """What was tried and not taken, with the reason."""
    command: str
    """What does all of it again, where that is a line of a shell."""
    tries_all: bool
    """Whether several schemes were tried, of which ``commands`` make the best again."""
    commands: tuple[str, ...]
    """What repeats it, step by step."""
    hashes: dict[str, dict[str, str]]
    """SHA-256 by name of the files of every candidate, under its label, and of the ``model``."""
    file_bytes: tuple[int, int]
    """Bytes of both, with their data."""
    warnings: tuple[str, ...]
    measurement: tuple[str, ...]
    """How steady the machine was: it makes intervals wide, not results wrong."""
    notes: list[str]
    stages: dict[str, float | None]
    """Seconds of each stage; None where its result was there already."""
    host: str
    seconds: float

    @property
    def reused(self) -> tuple[str, ...]:
        """Stages whose results were there already."""
        return tuple(name for name, seconds in self.stages.items() if seconds is None)

    @property
    def taken(self) -> Candidate:
        """What is deployed."""
        return next(each for each in self.candidates if each.label == self.chosen)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        data: dict[str, Any] = plain(dataclasses.asdict(self))
        return data

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row for each candidate."""
        return [
            (
                each.name,
                str(each.nodes),
                bytes_text(each.weight_bytes),
                each.times(),
                "-" if each.ratio is None else span_text(each.ratio),
                "; ".join(metric.cell() for metric in each.metrics) or "-",
            )
            for each in self.candidates
        ]

    def legend(self) -> str:
        """Say how to read the table; nothing where it has no figures that need it."""
        shown = (
            (_READING, any(each.ratio for each in self.candidates)),
            (_NODES, any(each.how.startswith("int") for each in self.candidates)),
            (_EXAMPLES, any(each.metrics for each in self.candidates)),
        )
        said = [text for text, needed in shown if needed]
        first = self.candidates[0]
        values: dict[str, float | str] = {}
        if first.noise is not None:
            said.insert(1, _NOISE)
            values |= {"low": first.noise[1], "high": first.noise[2]}
        best = (each for each in self.candidates if each.outcome == "faster" and each.second)
        twice = next(best, None)
        if twice is not None and twice.chosen_for and twice.second:
            said.insert(1, _TWICE)
            values |= {"one": span_text(twice.chosen_for), "two": span_text(twice.second)}
            before = twice.quantizing
            values["before"] = "" if before is None else f"{span_text(before)} while quantizing, "
            values["times"] = "twice" if before is None else "three times"
            values["all"] = "both" if before is None else "all"
        values |= {"first": first.label, "best": "" if twice is None else twice.label}
        return " ".join(text.format(**values) for text in said)

    def render(self, paper: Paper) -> None:
        """Write the choice with its reason, the candidates, and how to use the file."""
        was, now = map(bytes_text, self.file_bytes)
        size = f"{now}, was {was}" if now != was else now
        paper.paragraph(f"{self.model} ({size}) is the {self.taken.name} model: {self.why}")
        for warning in self.warnings:
            paper.paragraph(f"warning: {warning}")
        paper.line()
        paper.table([COLUMNS, *self.rows()], left=(0, 5))
        if self.legend():
            paper.paragraph(self.legend())
        paper.line()
        for each in self.candidates[1:]:
            for said in (each.agrees, *each.remarks):
                paper.paragraph(f"{each.label}: {said}")
        for text in self.not_taken:
            paper.paragraph(f"not taken: {text}")
        paper.line()
        paper.paragraph(f'use it: onnxopt.session("{self.model}").run({self.fed()})')
        alone = plain_code(self.model, self.session)
        if alone:
            paper.line(f"with ONNX Runtime alone: {'; '.join(alone)}")
        paper.paragraph(f"it opens as {self.session}: {self.session_why}")
        for note in self.notes:
            paper.paragraph(f"note: {note}")
        if self.measurement:
            paper.paragraph(f"note: {self.unsteady()}; report.json has what was seen")
        paper.paragraph(self.spent())
        paper.paragraph(f"repeat it step by step{self.steps()}:")
        for command in self.lines():
            paper.line(f"  {command}")

    def lines(self) -> list[str]:
        """Return the commands that repeat it, and the one that does all of it."""
        anew = "; --again measures anew" if any(each.ratio for each in self.candidates) else ""
        return [*self.commands, *([f"{self.command}  # all of it{anew}"] if self.command else [])]

    def fed(self) -> str:
        """Return what is fed, as Python: a dictionary by the names of the inputs."""
        pairs = ", ".join(f'"{name}": …' for name in self.inputs)
        return f"{{{pairs}}}"

    def steps(self) -> str:
        """Say what the commands that repeat it leave out."""
        file = self.taken.file
        text = f" ({self.model} is {file} with a line of metadata, how to open it"
        more = "; quantize without --scheme tries all again" if self.tries_all else ""
        return f"{text}{more})"

    def unsteady(self) -> str:
        """Say in which measurements the machine was not steady."""
        parts = dict.fromkeys(text.partition(":")[0] for text in self.measurement)
        return f"{UNSTEADY} (while measuring: {', '.join(parts)})"

    def spent(self) -> str:
        """Say how long it took, stage by stage, and what was there already."""
        took = [
            f"{name} {f'{s:.0f}' if s >= 1 else '<1'} s"
            for name, s in self.stages.items()
            if s is not None
        ]
        parts = f" ({', '.join(took)})" if took else ""
        kept = f"; kept from before: {', '.join(self.reused)}" if self.reused else ""
        return f"on {self.host}; {self.seconds:.0f} s{parts}{kept}"

    def __str__(self) -> str:
        stream = io.StringIO()
        self.render(Paper(stream))
        return stream.getvalue().rstrip()


def span_text(ratio: Span) -> str:
    """Return a ratio with its interval."""
    value, low, high = ratio
    return f"{value:.3f} ({low:.3f} to {high:.3f})"
