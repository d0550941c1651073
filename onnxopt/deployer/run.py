"""Carry out a deployment, stage by stage."""

from __future__ import annotations

import contextlib
import dataclasses
import operator
import time
from collections.abc import Sequence
from pathlib import Path

from onnxopt import __version__, catalogue, io, lossless, quantizer
from onnxopt.comparison import run as comparison
from onnxopt.deployer.choice import Bound, best_of, left_behind
from onnxopt.deployer.clock import Clock
from onnxopt.deployer.commands import Commands, Made, deploy_command
from onnxopt.deployer.exactness import EXACT, Rests, compared, in_use, limits_of
from onnxopt.deployer.exported import exported, key_of
from onnxopt.deployer.folder import inputs_of, left_over, replaced, save, write
from onnxopt.deployer.held import Held, check
from onnxopt.deployer.parts import Parts
from onnxopt.deployer.quantized import quantized
from onnxopt.deployer.report import (
    EXPORTED,
    GIVEN,
    OPTIMIZED,
    QUANTIZED,
    Candidate,
    DeployReport,
    Near,
    Scored,
)
from onnxopt.deployer.request import Request
from onnxopt.deployer.stages import (
    Result,
    Stages,
    file_bytes,
    file_hash,
    hashes_of,
    keep_apart,
    samples_hash,
)
from onnxopt.deployer.timing import LATER, span_of, with_times
from onnxopt.deployer.ways import UNCONFIRMED, confirmed
from onnxopt.deployer.words import (
    UNSCORED,
    as_shipped,
    at_stage,
    distinct,
    disturbed,
    host_text,
    opens,
    over_budget,
    saturates,
    undecided,
)
from onnxopt.errors import BackendError, ModelError
from onnxopt.host import Host
from onnxopt.measure.verdict import TOO_BUSY
from onnxopt.quantizer.schemes import scheme_of
from onnxopt.report import Size


def run(thing: object, request: Request) -> DeployReport:
    """Bring a model to a file that is ready to run; the folder takes everything.

    Raises what ``export``, ``optimize``, ``quantize``, ``compare`` and ``bench`` raise. Of a
    deployment that fails before anything is made no folder is left.
    """
    fresh = not request.folder.exists()
    try:
        return _Deployment(thing, request).run()
    finally:
        if fresh:
            with contextlib.suppress(OSError):
                request.folder.rmdir()  # which only an empty one lets happen


class _Deployment:
    def __init__(self, thing: object, request: Request) -> None:
        self._thing, self._request = thing, request
        self._warnings: list[str] = []
        self._runs_on = self._present(request.target)
        check(request)
        keep_apart(thing, request.folder)
        self._stages = Stages(request.folder)
        self._measurement: list[str] = []
        self._notes: list[str] = []
        self._of: dict[str, list[str]] = {}
        """Notes on a file, told where it is the one that is deployed."""
        self._not_taken: list[str] = []
        self._first = EXPORTED
        self._files: dict[str, Path] = {}
        self._optimized: Result = {}
        self._quantized: Result = {}
        self._target_of: dict[str, str] = {}
        """Of files that need another setting than the target asked for."""
        self._commands = Commands(request.samples, request.seed)
        self._samples = request.samples
        self._bound = Bound()
        self._part = Parts(request.progress)

    def run(self) -> DeployReport:
        started = time.perf_counter()
        source = self._export()
        self._optimize()
        self._quantize()
        key, feeds = self._key(*self._effort()), self._held().feeds
        clock = Clock(self._request, self._stages, self._commands, self._part, key, feeds)
        candidates = self._measured(clock, [self._candidate(label) for label in self._files])
        chosen, why = best_of(candidates, self._bound)
        self._not_taken += left_behind(candidates, chosen, measured=self._request.measure)
        file, usual = self._files[chosen], self._target_of.get(chosen, self._request.target)
        session, session_why, ways = clock.way(file, usual)
        first = (self._first, self._files[self._first])
        shipped = clock.shipped(first, (chosen, file), usual, session)
        if not confirmed(shipped, candidates, chosen):
            session, session_why, shipped = usual, UNCONFIRMED.format(session), ()
        why += as_shipped(shipped, self._first)
        self._measurement += clock.unsteady
        open_ = all(each.outcome != "faster" for each in candidates)
        said = [*self._not_taken, *(each.verdict for each in candidates)]
        busy = open_ and any(TOO_BUSY in text for text in said)
        self._warnings += [LATER] if busy else disturbed(clock.others)
        self._notes += opens(self._files[chosen], self._request.target)
        self._notes += over_budget(self._stages.seconds, self._request.budget_s)
        folder = self._request.folder
        self._warnings += replaced(folder, chosen)
        self._notes += left_over(folder, self._files.values())
        model = save(folder, self._files[chosen], session)
        report = DeployReport(
            source=str(source["source"]),
            target=self._request.target,
            model=str(model),
            chosen=chosen,
            why=why,
            candidates=tuple(candidates),
            inputs=inputs_of(self._files[chosen]),
            session=session,
            session_why=session_why,
            ways=ways,
            shipped=shipped,
            export=source,
            not_taken=tuple(self._not_taken),
            command=deploy_command(self._thing, self._request),
            tries_all=bool(self._quantized.get("scheme")) and self._request.scheme is None,
            commands=tuple(self._commands.lines),
            hashes={k: hashes_of(p) for k, p in {**self._files, "model": model}.items()},
            file_bytes=(file_bytes(first[1]), file_bytes(model)),
            warnings=distinct(self._warnings),
            measurement=distinct(self._measurement),
            notes=[*distinct([*self._of.get(chosen, ()), *self._notes]), *self._commands.notes],
            stages=self._stages.seconds,
            host=host_text(),
            seconds=time.perf_counter() - started,
        )
        write(folder, report)
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
        self._part("exporting", 0.02, 0.1)
        path, key = self._at("exported.onnx"), key_of(self._thing, self._request)

        def make() -> Result:
            return exported(self._thing, self._request, path, self._commands.more)

        found = make() if key is None else self._stages.do("export", key, make, path)
        command = found.pop("command", None)
        if command is None:
            self._first = GIVEN
            self._files[GIVEN] = Path(str(self._thing))
        else:
            self._files[EXPORTED] = path
            self._commands.lines.append(command)
            self._notes += found["notes"]
        self._held().check()
        return found

    def _held(self) -> Held:
        request = self._request
        return Held(self._samples, self._files[self._first], request.metrics, request.seed)

    def _key(self, *more: object) -> tuple[object, ...]:
        request = self._request
        original = file_hash(self._files[self._first])
        pipeline = catalogue.backend(request.target).target().pipeline
        place = (request.target, self._runs_on, pipeline, host_text())
        return (__version__, original, *place, samples_hash(self._samples), *more)

    def _optimize(self) -> None:
        self._part("optimizing", 0.1, 0.2)
        path, source = self._at("optimized.onnx"), self._files[self._first]

        def make() -> Result:
            asked = lossless.Request(
                target=self._request.target,
                samples=self._samples,
                seed=self._request.seed,
                skip=self._request.skip_passes,
                repro=self._at("repro"),
                option="--skip-pass",
            )
            model, report = lossless.run(source, asked)
            io.save(model, path)
            return {
                "changes": {each.name: each.changes for each in report.passes if each.changes},
                "verification": report.verification.statement,
                "left_out": report.verification.quarantined,
                "notes": report.notes,
            }

        key = self._key(self._request.seed, self._request.skip_passes)
        found = self._stages.do("optimize", key, make, path)
        self._optimized = found
        self._files[OPTIMIZED] = path
        self._not_taken += [f"a rewrite that changed the outputs, {t}" for t in found["left_out"]]
        self._of[OPTIMIZED] = found["notes"]
        words = [word for name in self._request.skip_passes for word in ("--skip", name)]
        target = self._request.target
        self._commands.add("optimize", source, "-o", path, *words, "--target", target)

    def _effort(self) -> tuple[object, ...]:
        return str(Host.here()), self._request.budget_s, self._request.seed

    def _quantize(self) -> None:
        """Quantize where there is something to hold it against."""
        asked = self._request
        if not asked.quantize:
            return
        if self._samples is None:
            self._not_taken.append("quantization: not tried, for there are no samples")
            return
        source, path = self._files[self._first], self._at("quantized.onnx")
        budget = self._held().budget(asked.max_drop)
        request = quantizer.Request(
            target=asked.target,
            samples=self._samples,
            scheme=asked.scheme,
            measure=asked.measure,
            budget_s=asked.budget_s,
            accuracy=budget,
            check_portability=asked.check_portability,
            skip_passes=asked.skip_passes,
            state=self._at("quantize.search"),
            seed=asked.seed,
            progress=self._part("quantizing", 0.2, 0.6),
        )
        try:
            scheme = None if asked.scheme is None else scheme_of(asked.scheme)
            more = (scheme, asked.measure, asked.skip_passes, asked.check_portability)
            key = self._key("quantize", *more, *self._metric(), *self._effort())
            keeps = operator.itemgetter("told")
            found = self._stages.do(
                "quantize",
                key,
                lambda: quantized(source, path, request),
                path,
                keeps=keeps,
                anew=asked.again,
            )
        except (BackendError, ModelError) as error:
            self._not_taken.append(f"quantization: {error}")
            return
        self._not_taken += found["left"]
        self._warnings += found["warnings"]
        self._measurement += at_stage("quantizing", found["unsteady"])
        if not found["chosen"]:
            self._warnings += undecided(found["undecided"])
            return
        self._files[QUANTIZED], self._quantized = path, found
        self._of[QUANTIZED] = [*found["notes"], *saturates(asked, wide=found["saturates"])]
        self._target_of[QUANTIZED] = found["runs_with"] or asked.target
        made = Made(found["scheme"], settled=found["settled"], bounded=budget is not None)
        self._commands.quantize(source, path, asked, made)

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
        self._part(f"comparing the {label} model", 0.6, 0.7)
        exact = label == OPTIMIZED
        least = None if exact else self._quantized["least_db"]
        rests = EXACT if exact else self._rests()
        limits = (*self._metric(), least, self._request.seed, *self._second(label), *rests)
        key = self._key(label, file_hash(path), *limits)
        found = self._stages.do(
            f"compare {label}", key, lambda: self._compared(label, least, rests)
        )
        if found["bound"]:
            self._bound = Bound(found["bound"], scored="max_drop" in found["limits"])
        self._warnings += [found["coarse"]] if found["coarse"] else []
        self._repeat_compare(label, found["limits"])
        if found["unscored"]:
            self._notes.append(UNSCORED)
        return dataclasses.replace(
            plain,
            how="" if exact else self._quantized["chosen"],
            quantizing=None if exact else span_of(self._quantized["ratio"]),
            changes=self._optimized["changes"] if exact else {},
            agrees=found["agrees"],
            checked=self._optimized["verification"] if exact else "",
            samples=found["samples"],
            outputs=tuple(Near(**each) for each in found["outputs"]),
            metrics=tuple(Scored(**each) for each in found["metrics"]),
            remarks=() if exact else tuple(self._quantized["remarks"]),
            refused=found["refused"],
        )

    def _repeat_compare(self, label: str, limits: Result) -> None:
        here = self._runs_on == self._request.target
        target, optimization = self._second(label)
        self._commands.compare(
            (self._files[self._first], self._files[label]),
            self._request.metrics,
            limits,
            (self._runs_on, target) if here else ("cpu", "cpu"),
            held_back=label == QUANTIZED and self._quantized["calibrated"],
            optimization=optimization,
        )

    def _second(self, label: str) -> tuple[str, str]:
        """Return on what a file is compared, and how far it is optimized there."""
        here = self._runs_on == self._request.target
        target = self._target_of.get(label, self._runs_on) if here else self._runs_on
        return target, in_use(target) if here and label == QUANTIZED else "off"

    def _compared(self, label: str, least_db: float | None, rests: Rests) -> Result:
        request, plain, held = self._request, label == OPTIMIZED, self._held()
        scored = not plain and held.budget(request.max_drop) is not None
        second, optimization = self._second(label)
        asked = comparison.Request(
            first=self._files[self._first],
            second=self._files[label],
            provider=self._runs_on,
            against_provider=second,
            samples=self._samples if plain else held.judged(calibrated=rests.calibrated),
            metrics=request.metrics,
            limits=limits_of(least_db, request.max_drop if scored else None),
            optimization=optimization,
            seed=request.seed,
        )
        return compared(asked, rests)

    def _rests(self) -> Rests:
        found, here = self._quantized, self._runs_on == self._request.target
        return Rests(
            calibrated=found["calibrated"],
            single=self._held().single,
            layers=found["layers"],
            in_use=here,
        )

    def _measured(self, clock: Clock, candidates: Sequence[Candidate]) -> list[Candidate]:
        if not self._request.measure:
            self._notes.append("nothing was measured, as asked for")
            return list(candidates)
        files = {each.label: Path(each.file) for each in candidates if each.refused is None}
        named = {label: self._target_of.get(label, self._request.target) for label in files}
        found = clock.timed("candidates", files, named, (0.7, 0.85))
        clock.repeat(files.values(), named.values())
        self._notes += at_stage("latency", found["notes"])
        return with_times(candidates, found)
