"""Where the time of a model goes: by operator and by node, from the runtime's own profiler."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from onnxopt.errors import BackendError, ModelError
from onnxopt.host import Host
from onnxopt.measure.feeding import stored
from onnxopt.measure.intervals import Estimate, estimate
from onnxopt.measure.load import Watch
from onnxopt.measure.process import Process, on
from onnxopt.measure.records import Variant
from onnxopt.measure.run import Progress, cpus_of
from onnxopt.profiling.executed import Executed, executed
from onnxopt.profiling.kernels import CONVERSIONS, DEVICE_COPIES, INTEGER_OTHERS, INTEGER_PRODUCTS
from onnxopt.profiling.overhead import Charge
from onnxopt.profiling.pairs import Side, pair
from onnxopt.profiling.peaks import Peaks
from onnxopt.profiling.record import WORKER, Effort, Record, Recording
from onnxopt.profiling.report import ModelProfile, PairRow, ProfileReport
from onnxopt.profiling.rows import fusions, node_rows, operator_rows, put_in, timed
from onnxopt.profiling.work import Graphs
from onnxopt.spec import write_options
from onnxopt.target import Backend, Feeds

__all__ = [
    "CONVERSIONS",
    "DEVICE_COPIES",
    "INTEGER_OTHERS",
    "INTEGER_PRODUCTS",
    "Effort",
    "Executed",
    "ProfileReport",
    "executed",
    "profile",
]


def profile(
    variants: Sequence[Variant],
    feeds: Sequence[Feeds],
    *,
    effort: Effort | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    fed: str = "",
) -> ProfileReport:
    """Profile one model, or two side by side, on the same feeds; ``fed`` says what those are.

    A model that fails is reported and the other goes on. Ctrl-C ends it early, and what was
    recorded until then is reported. Raises BackendError for a target that cannot record.
    """
    found = _Profiling(variants, feeds, effort or Effort(), seed, progress or _silent).report()
    return dataclasses.replace(found, fed=fed)


def _silent(share: float, text: str) -> None:
    del share, text


class _Profiling:
    """The steps of a profile, and what they have found so far."""

    def __init__(
        self,
        variants: Sequence[Variant],
        feeds: Sequence[Feeds],
        effort: Effort,
        seed: int,
        progress: Progress,
    ) -> None:
        self._variants, self._feeds, self._effort = variants, feeds, effort
        self._seed, self._progress = seed, progress
        self._cpus = cpus_of(variants[0])
        self._charge: Charge | None = None
        self._peaks: Peaks | None = None
        self._records = [Record(variant, error=variant.fault) for variant in variants]
        self._warnings: list[str] = []

    def report(self) -> ProfileReport:
        start, watch, interrupted = time.monotonic(), Watch(), False
        with tempfile.TemporaryDirectory(prefix="onnxopt-") as folder:
            graphs = [Path(folder) / f"graph_{number}.onnx" for number in range(len(self._records))]
            try:
                self._machine(self._variants[0].backend)
                self._models(graphs)
            except KeyboardInterrupt:
                interrupted = True
            quiet = watch.read()
            self._progress(1.0, "putting it together")
            sides = [self._side(*each) for each in zip(self._records, graphs, strict=True)]
        return ProfileReport(
            models=tuple(model for model, _ in sides),
            pairs=tuple(_pairs([side for _, side in sides])),
            charge=self._charge,
            peaks=self._peaks,
            host=Host.here(),
            quiet=quiet,
            warnings=(*quiet.warnings(), *self._warnings),
            seconds=time.monotonic() - start,
            seed=self._seed,
            interrupted=interrupted,
        )

    def _machine(self, backend: Backend) -> None:
        """Measure what recording adds and what the machine reaches; a report goes without."""
        with tempfile.TemporaryDirectory(prefix="onnxopt-") as folder, Process(WORKER) as process:
            backend.recording(Path(folder))
            request = {"folder": folder, **on(backend, self._cpus)}
            try:
                process.ready(self._effort.timeout_s)
                self._progress(0.0, "measuring what recording adds")
                found = process.ask({"do": "charge", **request}, self._effort.timeout_s)
                self._charge = Charge.from_dict(found)
                if not self._effort.peaks:
                    return
                self._progress(0.05, "measuring the machine's peaks")
                wanted = {"do": "peaks", "charged_s": self._charge.typical_s, **request}
                self._peaks = Peaks.from_dict(process.ask(wanted, self._effort.timeout_s))
            except BackendError as error:
                self._warnings.append(f"no peaks of this machine: {error}")

    def _models(self, graphs: Sequence[Path]) -> None:
        """Launch the models in turn, so that what drifts drifts for both."""
        effort, count = self._effort, len(self._records)
        start, longest = time.monotonic(), 0.0
        with stored(self._feeds) as path:
            recordings = [
                Recording(record, path, len(self._feeds), self._cpus, effort, self._seed)
                for record in self._records
            ]
            for launch in range(effort.launches):
                before = time.monotonic()
                if launch and before - start + longest > effort.budget_s * count:
                    return
                for number, recording in enumerate(recordings):
                    done = (launch + number / count) / effort.launches
                    recording.launch(graphs[number], functools.partial(self._part, done))
                longest = max(longest, time.monotonic() - before)

    def _part(self, done: float, text: str) -> None:
        self._progress(0.1 + 0.85 * done, text)

    def _side(self, record: Record, graph: Path) -> tuple[ModelProfile, Side | None]:
        charge = self._charge or Charge()
        nodes, notes = timed(record, charge), []
        graphs: Graphs | None = None
        if nodes and graph.exists():
            try:
                graphs = Graphs.of(record.variant.model, graph, self._feeds)
            except ModelError as error:
                notes.append(f"the graph that ran cannot be read ({error}): nothing about fusion")
        elif nodes:
            notes.append("the runtime did not write the graph that it ran: nothing about fusion")
        if record.unsteady:
            notes.append("the times had not settled after warming up: record again")
        rows, steps = node_rows(nodes, graphs, self._peaks, charge)
        slowest = sorted(rows, key=lambda row: -row.seconds)
        model = ModelProfile(
            label=record.variant.label,
            model=str(record.variant.model),
            backend=type(record.variant.backend).target().name
            + write_options(record.variant.backend),
            error=record.error,
            launches=len(record.nodes),
            runs=record.runs,
            plain=_seconds(record.plain),
            slowed=_seconds(record.slowed),
            recorded_s=sum(row.recorded_s for row in rows),
            nodes_s=sum(row.seconds for row in rows),
            nodes=tuple(slowest),
            operators=tuple(operator_rows(nodes, rows)),
            fusions=tuple(fusions(rows)),
            folded=len(graphs.origins.folded) if graphs else 0,
            removed=len(graphs.origins.removed) if graphs else 0,
            put_in=put_in(graphs.origins) if graphs else 0,
            fallbacks=record.fallbacks,
            notes=tuple(notes),
        )
        return model, Side(graphs, nodes, steps) if graphs else None


def _seconds(logs: Sequence[Sequence[float]]) -> Estimate | None:
    found = estimate(logs)
    return found.exp() if found else None


def _pairs(sides: Sequence[Side | None]) -> list[PairRow]:
    there = [side for side in sides if side is not None]
    return pair(there[0], there[1]) if len(there) == 2 else []
