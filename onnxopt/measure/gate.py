"""A model against a run that was kept: side by side with the old model, or across runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from onnxopt.errors import ModelError
from onnxopt.measure.intervals import LOOKS_FROM, Estimate
from onnxopt.measure.models import Matrix, variants_of
from onnxopt.measure.records import Variant
from onnxopt.measure.report import BenchReport, Row
from onnxopt.measure.saved import Conditions, OldRow, Saved, model_hash
from onnxopt.measure.verdict import BUSY, HOPELESS, Verdict, detectable, verdict
from onnxopt.spec import write_options

BETWEEN_RUNS = 0.036
"""Standard deviation of the logarithm of a median from one run to a later one.

What processes of one run share, and so its own interval cannot show: where in memory the system
puts files, how warm the machine is, what else it does that hour. As benchmarks/measuring/between.py
found it over two hours on a machine that shares its memory with others; models of 0.06 to 0.4 ms
differ by 1.2 to 1.7 %, those of 3 and 13 ms by 6.0 and 4.5 %.
"""
_SAME_MACHINE = ("cpu", "flags", "cores", "gpu")

Measure = Callable[[Sequence[Variant]], BenchReport]


def against(
    saved: Saved, model: Path, matrix: Matrix, measure: Measure, *, force: bool
) -> BenchReport:
    """Hold a model to a run that was kept, under the same conditions.

    Where the old model still lies where it was, both are measured side by side, and the old figures
    are not used. Otherwise, or where the model itself is the old one, the medians of the two runs
    are compared, with ``BETWEEN_RUNS`` added to both intervals; nothing is claimed across different
    machines, about different feeds, or on a machine that is too busy, without ``force``.

    Raises ModelError where the run has nothing under these conditions.
    """
    variants = variants_of([model], matrix)
    old = [_match(saved, variant) for variant in variants]
    models = {row.model for row in old}
    same = model_hash(model) in {saved.hashes.get(str(former)) for former in models}
    if len(models) == 1 and saved.at_hand(old[0]) and not same:
        (former,) = models
        report = measure(variants_of([former, model], matrix))
        note = f"{former} is as it was in {saved.path}: both were measured now, side by side"
        return dataclasses.replace(report, notes=(note, *report.notes))
    report = measure([dataclasses.replace(variant, group=variant.label) for variant in variants])
    doubt = _other_machine(saved, report) or (BUSY if report.quiet.hopeless else None)
    if saved.interrupted and min(row.launches for row in old) < LOOKS_FROM:
        doubt = (
            f"the run in {saved.path} was interrupted too early to hold a model to: keep another"
        )
    rows = [
        _across(row, former, doubt, force=force)
        for row, former in zip(report.rows, old, strict=True)
    ]
    return dataclasses.replace(
        report, rows=tuple(rows), notes=(*report.notes, *_notes(saved, report, same=same))
    )


def _match(saved: Saved, variant: Variant) -> OldRow:
    wanted = _conditions(variant)
    found = [row for row in saved.rows if row.conditions == wanted]
    named = [row for row in found if row.model.name == variant.model.name]
    if len({row.model for row in named or found}) == 1:
        return (named or found)[0]
    if found:
        names = ", ".join(sorted({str(row.model) for row in found}))
        raise ModelError(
            f"{saved.path}: holds several models ({names}) and none of them alone is named "
            f"'{variant.model.name}'; keep a run of one model"
        )
    there = "; ".join(dict.fromkeys(_said(row.conditions) for row in saved.rows)) or "nothing"
    raise ModelError(
        f"{saved.path}: has no run on {_said(wanted)}; it has {there}: measure under the same "
        "conditions"
    )


def _conditions(variant: Variant) -> Conditions:
    backend = type(variant.backend).target().name + write_options(variant.backend)
    return backend, variant.inputs.batch, variant.inputs.shapes, variant.streams


def _said(wanted: Conditions) -> str:
    backend, batch, shapes, streams = wanted
    parts = [backend, *([f"batch {batch}"] if batch else []), *shapes]
    return ", ".join([*parts, *([f"{streams} streams"] if streams > 1 else [])])


def _other_machine(saved: Saved, report: BenchReport) -> str | None:
    here = dataclasses.asdict(report.host)
    for name in _SAME_MACHINE:
        mine = list(here[name]) if name == "flags" else here[name]
        if saved.host.get(name, "") != mine:
            return (
                f"the run in {saved.path} was taken on another machine ({name} differs): measure "
                "it again here, keep the old model beside it, or take it as it is with --force"
            )
    return None


def _across(row: Row, old: OldRow, doubt: str | None, *, force: bool) -> Row:
    """Compare a row with an old one; ``doubt`` is why nothing can be said without force."""
    mine = row.throughput.inverse() if row.throughput else row.median
    if mine is None:
        return row
    value = math.log(mine.value / old.seconds.value)
    halves = [math.log(e.high / e.low) / 2 for e in (mine, old.seconds)]
    half = math.hypot(*halves, 1.96 * math.sqrt(2) * BETWEEN_RUNS)
    ratio = Estimate(value, value - half, value + half)
    said = _held(ratio)
    if not force and doubt is not None:
        said = Verdict("unknown", doubt)
    elif not force and row.feeds_hash != old.feeds_hash:
        said = Verdict(
            "unknown", "the old run was on other feeds: give the same --samples or --seed"
        )
    return dataclasses.replace(
        row,
        baseline=f"{old.label} in the old run",
        ratio=ratio.exp(),
        detectable=detectable(ratio, None),
        outcome=said.outcome,
        verdict=said.text,
    )


def _held(ratio: Estimate) -> Verdict:
    """Say what a logarithm of a ratio across runs shows; a gate asks how much slower it may be."""
    said = verdict(ratio, None)
    if said.outcome != "unknown" or math.expm1(ratio.high) > HOPELESS:
        return said
    worst = 100 * math.expm1(max(ratio.high, 0.0))
    return Verdict("same", f"not slower, by {worst:.1f} % at the most, as far as two runs tell")


def _notes(saved: Saved, report: BenchReport, *, same: bool) -> list[str]:
    remark = (
        "the model is the very one of that run"
        if same
        else "keep the old model where it was for a sharper answer"
    )
    found = [
        f"compared with the figures in {saved.path}, not side by side: {100 * BETWEEN_RUNS:.1f} % "
        f"from run to run are allowed for; {remark}"
    ]
    old, new = saved.host.get("versions", {}), report.host.versions
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            found.append(f"{name} was {old.get(name)} then and is {new.get(name)} now")
    return found
