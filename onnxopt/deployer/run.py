"""Carry out a deployment, stage by stage."""

from __future__ import annotations

import dataclasses
import operator
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import onnx_ir as ir

from onnxopt import __version__, catalogue, exporter, io, lossless, quantizer
from onnxopt.comparison import run as comparison
from onnxopt.deployer.choice import (
    best_of,
    decided,
    left_behind,
    timed,
    way_of,
    ways_to_open,
    with_times,
)
from onnxopt.deployer.commands import Commands, export_command
from onnxopt.deployer.exactness import compared, limits_of
from onnxopt.deployer.held import Held, check
from onnxopt.deployer.quantized import quantized
from onnxopt.deployer.report import (
    EXPORTED,
    GIVEN,
    OPTIMIZED,
    QUANTIZED,
    Candidate,
    DeployReport,
)
from onnxopt.deployer.request import Request
from onnxopt.deployer.stages import Result, Stages, file_hash, files_hash, keep_apart, samples_hash
from onnxopt.errors import BackendError, ModelError, UsageError
from onnxopt.host import Host
from onnxopt.io.replace import put
from onnxopt.opening import SESSION
from onnxopt.plain import json_text
from onnxopt.quantizer.schemes import SCHEMES
from onnxopt.report import Size

_SCORED = "the report scores samples that quantizing did not see; its compare command scores all"


def run(thing: object, request: Request) -> DeployReport:
    """Bring a model to a file that is ready to run; the folder takes everything.

    Raises what ``export``, ``optimize``, ``quantize``, ``compare`` and ``bench`` raise.
    """
    return _Deployment(thing, request).run()


class _Deployment:
    def __init__(self, thing: object, request: Request) -> None:
        self._thing, self._request = thing, request
        self._warnings: list[str] = []
        self._runs_on = self._present(request.target)
        check(request.samples, request.metrics)
        keep_apart(thing, request.folder)
        self._stages = Stages(request.folder)
        self._measurement: list[str] = []
        self._notes: list[str] = []
        self._rolled_back: list[str] = []
        self._first = EXPORTED
        self._files: dict[str, Path] = {}
        self._quantized: Result = {}
        self._target_of: dict[str, str] = {}
        """Of files that need another setting than the target asked for."""
        self._commands = Commands(request.samples, request.seed)
        self._samples = request.samples

    def run(self) -> DeployReport:
        started = time.perf_counter()
        exported = self._export()
        optimized = self._optimize()
        self._quantize()
        candidates = [self._candidate(label) for label in self._files]
        candidates = self._measured(candidates)
        chosen, why = best_of(candidates)
        self._rolled_back += left_behind(candidates, chosen, measured=self._request.measure)
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
            changes=optimized["changes"] if chosen == OPTIMIZED else {},
            verification=optimized["verification"],
            rolled_back=tuple(self._rolled_back),
            commands=tuple(self._commands.lines),
            warnings=tuple(dict.fromkeys(self._warnings)),
            measurement=tuple(dict.fromkeys(self._measurement)),
            notes=[*self._notes, *self._commands.notes],
            reused=tuple(self._stages.reused),
            host=f"{Host.here().cpu}, {Host.here().cores} cores",
            seconds=time.perf_counter() - started,
        )
        self._write(report)
        return report

    def _present(self, target: str) -> str:
        """Return what models are compared on: the target, or the CPU where that is elsewhere.

        Raises BackendError where latency was to be measured there.
        """
        why = catalogue.backend(target).unavailable()
        if why is None:
            return target
        if self._request.measure:
            raise BackendError(
                f"{why}; --no-measure prepares the model for {target} all the same, compared on "
                "the CPU"
            )
        self._warnings.append(f"{target} is not on this machine: outputs were compared on the CPU")
        return lossless.REFERENCE

    def _at(self, name: str) -> Path:
        return self._request.folder / name

    def _export(self) -> Result:
        """Export the model; a file that is ONNX already stays where it is."""
        self._request.progress(0.02, "exporting")
        request, thing = self._request, self._thing
        asked = exporter.Request(
            inputs=request.inputs,
            dynamic=request.dynamic,
            outputs=request.outputs,
            samples=self._samples,
            folder=request.folder,
            seed=request.seed,
        )
        path = self._at("exported.onnx")

        def make() -> Result:
            model, report = exporter.run(thing, asked)
            if report.exporter is None and isinstance(thing, str | Path):
                return report.to_dict()
            io.save(model, path)
            command = export_command(thing, report, path, request.outputs, self._commands.more)
            return report.to_dict() | {"command": command}

        key = self._export_key()
        found = make() if key is None else self._stages.do("export", key, make, path)
        command = found.pop("command", None)
        if command is None:
            self._first = GIVEN
            self._files[GIVEN] = Path(str(thing))
            return found
        self._files[self._first] = path
        self._commands.lines.append(command)
        self._notes += found["notes"]
        return found

    def _export_key(self) -> tuple[object, ...] | None:
        """Return what an export is made from; None for code, which may change, and for ONNX."""
        request, thing = self._request, self._thing
        given = request.inputs
        texts = [given] if isinstance(given, str) else given if isinstance(given, tuple) else None
        examples = given is not None and (
            texts is None or not all(isinstance(each, str) for each in texts)
        )
        if not isinstance(thing, str | Path) or not Path(thing).exists() or examples:
            return None
        kinds = map(catalogue.framework, catalogue.frameworks())
        if not any(kind.reads(Path(thing)) for kind in kinds):
            return None
        asked = (request.inputs, request.dynamic, request.outputs, request.seed)
        return (__version__, files_hash(Path(thing)), *asked, samples_hash(self._samples))

    def _held(self) -> Held:
        request = self._request
        return Held(self._samples, self._files[self._first], request.metrics, request.seed)

    def _key(self, *more: object) -> tuple[object, ...]:
        request = self._request
        original = file_hash(self._files[self._first])
        return (__version__, original, request.target, samples_hash(self._samples), *more)

    def _optimize(self) -> Result:
        self._request.progress(0.1, "optimizing")
        path, source = self._at("optimized.onnx"), self._files[self._first]

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
        self._commands.add("optimize", source, "-o", path, "--target", self._request.target)
        return found

    def _effort(self) -> tuple[object, ...]:
        return self._request.budget_s, self._request.seed

    def _quantize(self) -> None:
        """Quantize where there is something to hold it against."""
        asked = self._request
        if not asked.quantize:
            return
        if self._samples is None:
            self._rolled_back.append("quantization: not tried, for there are no samples")
            return
        asked.progress(0.3, "quantizing")
        source, path = self._files[self._first], self._at("quantized.onnx")
        budget = self._held().budget(asked.max_drop)
        request = quantizer.Request(
            target=asked.target,
            samples=self._samples,
            measure=asked.measure,
            budget_s=asked.budget_s,
            accuracy=budget,
            state=self._at("quantize.search"),
            seed=asked.seed,
            progress=asked.progress,
        )
        try:
            key = self._key("quantize", asked.measure, *self._metric(), *self._effort())
            told = operator.itemgetter("told")
            found = self._stages.do(
                "quantize", key, lambda: quantized(source, path, request), path, keeps=told
            )
        except (BackendError, ModelError) as error:
            self._rolled_back.append(f"quantization: {error}")
            return
        self._rolled_back += found["left"]
        elsewhere = self._runs_on != asked.target  # which is told already
        self._warnings += [] if elsewhere else found["warnings"]
        self._measurement += found["unsteady"]
        if found["chosen"]:
            self._files[QUANTIZED], self._quantized = path, found
            self._target_of[QUANTIZED] = found["runs_with"] or asked.target
            words: list[object] = [source, "-o", path]
            words += ["--scheme", found["chosen"]] if found["chosen"] in SCHEMES else []
            if budget is not None:
                words += ["--max-drop", asked.max_drop]
                words += ["--metric", asked.metrics[0]] if asked.metrics else []
            words += [] if asked.measure else ["--no-measure"]
            self._commands.add("quantize", *words, "--target", asked.target)

    def _metric(self) -> tuple[object, ...]:
        return self._request.metrics, self._request.max_drop

    def _candidate(self, label: str) -> Candidate:
        """Describe a file, and compare it with the first one."""
        path = self._files[label]
        size = Size.of(io.load(path))
        plain = Candidate(
            label=label, file=str(path), nodes=size.nodes, weight_bytes=size.weight_bytes
        )
        if label == self._first:
            return plain
        self._request.progress(0.6, f"comparing the {label} model")
        asked = self._request
        limits = (*self._metric(), asked.seed, self._target_of.get(label))
        key = self._key(label, file_hash(path), *limits)
        found = self._stages.do(f"compare {label}", key, lambda: self._compared(label))
        self._commands.add("compare", *self._compare_words(label, found["limits"]))
        if found["limits"] and self._samples is not None:
            self._notes.append(_SCORED)
        return dataclasses.replace(
            plain,
            how=self._quantized["chosen"] if label == QUANTIZED else "",
            agrees=found["agrees"],
            remarks=tuple(self._quantized["remarks"]) if label == QUANTIZED else (),
            metrics=tuple(found["metrics"]),
            refused=found["refused"],
        )

    def _compare_words(self, label: str, limits: Result) -> list[object]:
        words: list[object] = [self._files[self._first], self._files[label]]
        for metric in self._request.metrics:
            words += ["--metric", metric]
        for name, value in limits.items():
            words += [f"--{name.replace('_', '-')}", f"{value:g}"]
        target = self._target_of.get(label, self._request.target)
        if self._runs_on == self._request.target:
            words += ["--provider", self._runs_on] if self._runs_on != "cpu" else []
            words += ["--against-provider", target] if target != self._runs_on else []
        return words

    def _compared(self, label: str) -> Result:
        request, plain, held = self._request, label == OPTIMIZED, self._held()
        scored = not plain and held.budget(request.max_drop) is not None
        least = None if plain else self._quantized["least_db"]
        here = self._runs_on == request.target
        return compared(
            comparison.Request(
                first=self._files[self._first],
                second=self._files[label],
                provider=self._runs_on,
                against_provider=self._target_of.get(label) if here else None,
                samples=self._samples if plain else held.judged(),
                metrics=request.metrics,
                limits=limits_of(least, request.max_drop if scored else None),
                seed=request.seed,
            )
        )

    def _measured(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        if not self._request.measure:
            self._notes.append("nothing was measured, as asked for")
            return list(candidates)
        self._request.progress(0.7, "measuring")
        files = {each.label: Path(each.file) for each in candidates if each.refused is None}
        hashes = map(file_hash, files.values())
        named = {label: self._target_of.get(label, self._request.target) for label in files}
        key = self._key("bench", *hashes, *named.values(), str(Host.here()), *self._effort())
        found = self._stages.do(
            "bench",
            key,
            lambda: timed(
                files,
                {label: catalogue.backend(text) for label, text in named.items()},
                self._held().feeds(),
                (self._request.budget_s, self._request.seed),
                self._request.progress,
            ),
            keeps=decided,
        )
        self._measurement += found["unsteady"]
        words: list[object] = list(files.values())
        targets = list(dict.fromkeys(named.values()))
        for text in targets if targets != ["cpu"] else ():
            words += ["--provider", text]
        self._commands.add("bench", *words, "--budget", f"{self._request.budget_s:g}s")
        return with_times(candidates, found["rows"])

    def _way(self, chosen: str) -> tuple[str, str]:
        """Return how to open a session on the chosen file."""
        target = self._target_of.get(chosen, self._request.target)
        ways = ways_to_open(target, Host.here().cores)
        if not self._request.measure or len(ways) == 1:
            return target, "as asked for"
        self._request.progress(0.9, "measuring ways to open a session")
        path = self._files[chosen]
        found = self._stages.do(
            "session",
            self._key("session", file_hash(path), tuple(ways), str(Host.here()), *self._effort()),
            lambda: timed(
                dict.fromkeys(ways, path),
                {label: way.backend for label, way in ways.items()},
                self._held().feeds(),
                (self._request.budget_s, self._request.seed),
                self._request.progress,
            ),
        )
        self._measurement += found["unsteady"]
        return way_of(found["rows"], ways, target)

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
        try:
            from onnxopt.deployer.page import page_of

            page_of(report).save(self._at("report.html"))
        except UsageError as problem:
            report.notes.append(f"no report.html: {problem}")
