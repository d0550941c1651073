"""Carry out a deployment, stage by stage."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

import onnx_ir as ir

from onnxopt import __version__, catalogue, exporter, io, lossless, quantizer
from onnxopt.comparison import run as comparison
from onnxopt.comparison.report import CompareReport, Limits
from onnxopt.deployer.choice import best_of, timed, way_of, ways_to_open, with_times
from onnxopt.deployer.report import (
    EXPORTED,
    OPTIMIZED,
    QUANTIZED,
    Candidate,
    DeployReport,
)
from onnxopt.deployer.stages import Result, Stages, file_hash, samples_hash
from onnxopt.errors import BackendError, ModelError, UsageError
from onnxopt.exporter.notation import Axes
from onnxopt.host import Host
from onnxopt.io.replace import put
from onnxopt.measure.run import Progress
from onnxopt.opening import SESSION
from onnxopt.plain import json_text
from onnxopt.quantizer.run import FLOAT, SHARES
from onnxopt.report import Size
from onnxopt.samples import Samples
from onnxopt.split import Split
from onnxopt.target import Feeds

_ENOUGH = 4
"""Samples that latency is measured on."""


def _silent(share: float, text: str) -> None:
    del share, text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a deployment."""

    folder: Path
    """Takes every file; stages that are done in it already are not done again."""
    samples: Path | Samples | None = None
    """Real inputs, with labels where there are any."""
    inputs: Any = None
    dynamic: Axes | Literal["none"] | None = None
    outputs: tuple[str, ...] = ()
    target: str = "cpu"
    quantize: bool = True
    metrics: tuple[str, ...] = ()
    max_drop: float = 0.01
    """How much of the first metric quantization may cost, in its own unit."""
    measure: bool = True
    budget_s: float = 20.0
    """Seconds for each of the three measurements."""
    seed: int = 0
    progress: Progress = _silent


def run(thing: object, request: Request) -> DeployReport:
    """Bring a model to a file that is ready to run; the folder takes everything.

    Raises what ``export``, ``optimize``, ``quantize``, ``compare`` and ``bench`` raise.
    """
    return _Deployment(thing, request).run()


class _Deployment:
    def __init__(self, thing: object, request: Request) -> None:
        self._thing, self._request = thing, request
        self._stages = Stages(request.folder)
        self._warnings: list[str] = []
        self._notes: list[str] = []
        self._rolled_back: list[str] = []
        self._files: dict[str, Path] = {}
        self._commands: list[str] = []
        self._samples = request.samples

    def run(self) -> DeployReport:
        started = time.perf_counter()
        exported = self._export()
        optimized = self._optimize()
        self._quantize()
        candidates = [self._candidate(label) for label in self._files]
        candidates = self._measured(candidates)
        chosen, why = best_of(candidates)
        session, session_why = self._way(chosen)
        model = self._save(chosen, session)
        report = DeployReport(
            source=str(exported["source"]),
            target=self._request.target,
            model=str(model),
            chosen=chosen,
            why=why,
            candidates=tuple(candidates),
            session=session,
            session_why=session_why,
            export=exported,
            changes=optimized["changes"],
            verification=optimized["verification"],
            rolled_back=tuple(self._rolled_back),
            commands=tuple(self._commands),
            warnings=tuple(dict.fromkeys(self._warnings)),
            notes=tuple(self._notes),
            reused=tuple(self._stages.reused),
            host=f"{Host.here().cpu}, {Host.here().cores} cores",
            seconds=time.perf_counter() - started,
        )
        self._write(report)
        return report

    def _at(self, name: str) -> Path:
        return self._request.folder / name

    def _export(self) -> Result:
        """Export the model; a file that is ONNX already stays where it is."""
        self._request.progress(0.02, "exporting")
        request, thing = self._request, self._thing
        inputs = request.inputs
        if inputs is None and request.dynamic is not None and isinstance(self._samples, Samples):
            inputs = next(iter(self._samples), None)
        asked = exporter.Request(
            inputs=inputs,
            dynamic=request.dynamic,
            outputs=request.outputs,
            samples=self._samples,
            folder=request.folder,
            seed=request.seed,
        )
        model, report = exporter.run(thing, asked)
        path = Path(thing) if isinstance(thing, str | Path) and report.exporter is None else None
        if path is None:
            path = self._at("exported.onnx")
            io.save(model, path)
            self._commands.append(_export_command(thing, report, path))
        self._files[EXPORTED] = path
        self._notes += [note for note in report.notes if report.exporter is not None]
        return report.to_dict()

    def _key(self, *more: object) -> tuple[object, ...]:
        request = self._request
        original = file_hash(self._files[EXPORTED])
        return (__version__, original, request.target, samples_hash(self._samples), *more)

    def _optimize(self) -> Result:
        self._request.progress(0.1, "optimizing")
        path, source = self._at("optimized.onnx"), self._files[EXPORTED]

        def make() -> Result:
            asked = lossless.Request(
                target=self._request.target,
                samples=self._samples,
                seed=self._request.seed,
                repro=self._at("repro"),
            )
            model, report = lossless.run(source, asked)
            io.save(model, path)
            return {
                "changes": {each.name: each.changes for each in report.passes if each.changes},
                "verification": report.verification.statement,
                "left_out": report.verification.quarantined,
                "notes": report.notes,
            }

        found = self._stages.do("optimize", self._key(self._request.seed), make, path)
        self._files[OPTIMIZED] = path
        self._rolled_back += [f"a rewrite that changed the outputs, {t}" for t in found["left_out"]]
        self._notes += found["notes"]
        self._commands.append(
            f"onnxopt optimize {source} -o {path} --target {self._request.target}{self._given()}"
        )
        return found

    def _effort(self) -> tuple[object, ...]:
        return self._request.budget_s, self._request.seed

    def _given(self) -> str:
        given = self._request.samples
        return f" --samples {shlex.quote(str(given))}" if isinstance(given, Path) else ""

    def _quantize(self) -> None:
        """Quantize where there is something to hold it against."""
        if not self._request.quantize:
            return
        if self._samples is None:
            self._rolled_back.append("quantization: not tried, for there are no samples")
            return
        self._request.progress(0.3, "quantizing")
        path = self._at("quantized.onnx")
        try:
            key = self._key("quantize", self._request.measure, *self._effort())
            found = self._stages.do("quantize", key, lambda: self._try(path), path)
        except (BackendError, ModelError) as error:
            self._rolled_back.append(f"quantization: {error}")
            return
        self._rolled_back += found["refused"]
        self._warnings += found["warnings"]
        if found["chosen"] != FLOAT:
            self._files[QUANTIZED] = path
            self._commands.append(
                f"onnxopt quantize {self._files[EXPORTED]} -o {path} --scheme {found['chosen']}"
                f" --target {self._request.target}{self._given()}"
            )

    def _try(self, path: Path) -> Result:
        asked = quantizer.Request(
            target=self._request.target,
            samples=self._samples,
            measure=self._request.measure,
            budget_s=self._request.budget_s,
            seed=self._request.seed,
            progress=self._request.progress,
        )
        model, report = quantizer.run(self._files[EXPORTED], asked)
        io.save(model, path)
        refused = []
        for row in report.tried:
            if row.scheme in (FLOAT, report.chosen):
                continue
            refused.append(f"{row.scheme}: {row.refused or row.verdict or report.why}")
        if report.chosen == FLOAT:
            refused.append(f"quantization: {report.why}")
        return {"chosen": report.chosen, "refused": refused, "warnings": report.warnings}

    def _candidate(self, label: str) -> Candidate:
        """Describe a file, and compare it with the exported one."""
        path = self._files[label]
        size = Size.of(io.load(path))
        agrees, metrics, refused = "", (), None
        if label != EXPORTED:
            self._request.progress(0.6, f"comparing the {label} model")
            asked = self._request
            key = self._key(label, file_hash(path), asked.metrics, asked.max_drop, asked.seed)
            found = self._stages.do(f"compare {label}", key, lambda: self._compared(path))
            agrees, metrics = found["agrees"], tuple(found["metrics"])
            refused = found["refused"]
            self._commands.append(f"onnxopt compare {self._files[EXPORTED]} {path}{self._given()}")
        return Candidate(
            label=label,
            file=str(path),
            nodes=size.nodes,
            weight_bytes=size.weight_bytes,
            agrees=agrees,
            metrics=metrics,
            refused=refused,
        )

    def _compared(self, path: Path) -> Result:
        """Hold a file against the exported one: to rounding, or to the drop that a metric may have.

        A quantized model was held to the float one's outputs when it was made. It is scored on what
        it was not calibrated on, and only where the samples have labels or a metric is asked for.
        """
        plain = path == self._files.get(OPTIMIZED)
        judged = None if plain else self._judged()
        scored = judged is not None and self._scored(judged)
        report = comparison.compare(
            comparison.Request(
                first=self._files[EXPORTED],
                second=path,
                samples=judged or self._samples,
                metrics=self._request.metrics,
                limits=Limits(max_drop=self._request.max_drop) if scored else Limits(),
                seed=self._request.seed,
            )
        )
        faults = report.faults if plain or scored else ()
        return {
            "agrees": report.verdict if plain else _closeness(report),
            "metrics": [_metric_text(each) for each in report.metrics],
            "refused": faults[0] if faults else None,
        }

    def _judged(self) -> Samples | None:
        """Return the samples that quantizing held back, with their labels."""
        return None if self._samples is None else self._split().compared()

    def _split(self) -> Split:
        model = io.load(self._files[EXPORTED])
        seed = self._request.seed
        return Split.of(self._samples, model, lossless.reference(), SHARES, seed=seed)

    def _scored(self, judged: Samples) -> bool:
        first = next(iter(judged.labelled()), None)
        return bool(self._request.metrics) or (first is not None and first.label is not None)

    def _measured(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        if not self._request.measure:
            self._notes.append("nothing was measured, as asked for")
            return list(candidates)
        self._request.progress(0.7, "measuring")
        backend = catalogue.backend(self._request.target)
        files = {each.label: Path(each.file) for each in candidates if each.refused is None}
        hashes = map(file_hash, files.values())
        key = self._key("bench", *hashes, self._host(), *self._effort())
        found = self._stages.do(
            "bench",
            key,
            lambda: timed(
                files,
                dict.fromkeys(files, backend),
                self._feeds(),
                self._request.budget_s,
                self._request.progress,
            ),
        )
        self._warnings += found["warnings"]
        self._commands.append(f"onnxopt bench {' '.join(map(str, files.values()))}{self._given()}")
        return with_times(candidates, found["rows"])

    def _host(self) -> str:
        return str(Host.here())

    def _feeds(self) -> list[Feeds]:
        return [] if self._samples is None else self._split().held(_ENOUGH)

    def _way(self, chosen: str) -> tuple[str, str]:
        """Return how to open a session on the chosen file."""
        target = self._request.target
        ways = ways_to_open(target, Host.here().cores)
        if not self._request.measure or len(ways) == 1:
            return target, "as asked for"
        self._request.progress(0.9, "measuring ways to open a session")
        path = self._files[chosen]
        found = self._stages.do(
            "session",
            self._key("session", file_hash(path), tuple(ways), self._host(), *self._effort()),
            lambda: timed(
                dict.fromkeys(ways, path),
                ways,
                self._feeds(),
                self._request.budget_s,
                self._request.progress,
            ),
        )
        self._warnings += found["warnings"]
        return way_of(found["rows"], target)

    def _save(self, chosen: str, session: str) -> Path:
        model: ir.Model = io.load(self._files[chosen])
        model.metadata_props[SESSION] = session
        path = self._at("model.onnx")
        io.save(model, path)
        return path

    def _write(self, report: DeployReport) -> None:
        """Write the report as JSON, and as a page where the extra for pages is installed."""
        data = json_text(report.to_dict()).encode()

        def write(file: BinaryIO) -> None:
            file.write(data)

        put(self._at("report.json"), write)
        with contextlib.suppress(UsageError):
            from onnxopt.deployer.page import page_of

            page_of(report).save(self._at("report.html"))


def _export_command(thing: object, report: exporter.ExportReport, path: Path) -> str:
    if not isinstance(thing, str | Path):
        return f'onnxopt.save(onnxopt.export({report.source}, …), "{path}")  # from Python'
    given = "".join(f" --input {shlex.quote(text)}" for text in report.inputs)
    return f"onnxopt export {shlex.quote(report.source)}{given} -o {path}"


def _closeness(report: CompareReport) -> str:
    levels = [each.errors.sqnr for each in report.outputs if math.isfinite(each.errors.sqnr)]
    if not levels:
        return report.verdict
    return f"signal over error of the worst output {min(levels):.1f} dB on {report.samples} samples"


def _metric_text(change: Any) -> str:
    return f"{change.name} {change.before:.4g} before, {change.after:.4g} after"
