"""What a reader of a report has to know beside the figures."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from onnxopt.host import Host, allowed_cpus
from onnxopt.measure.load import Quiet
from onnxopt.measure.records import Group, Record
from onnxopt.measure.run import LEAST_LAUNCHES, Effort, crowd, needed_cpus
from onnxopt.measure.text import counted

_SAVING = ("powersave", "ondemand", "conservative", "schedutil")
_DISTURBED = 0.2


def warnings(groups: list[Group], quiet: Quiet, host: Host) -> list[str]:
    """Return what makes the figures doubtful."""
    found = quiet.warnings()
    if host.governor in _SAVING:
        found.append(f"the CPUs' governor is '{host.governor}': 'performance' is steadier")
    rounds = sum(group.rounds for group in groups)
    disturbed = sum(group.disturbed for group in groups)
    if rounds and disturbed / rounds > _DISTURBED:
        share = 100 * disturbed / rounds
        found.append(f"{share:.0f} % of the rounds were disturbed by other processes")
    return found + _of_variants(record for group in groups for record in group.records)


def _of_variants(records: Iterable[Record]) -> list[str]:
    """Return what is doubtful about variants: each thing once, with all that it is true of."""
    told: dict[str, list[str]] = {}
    for record in records:
        label = record.variant.label
        if crowd(record.variant):
            threads, cpus = needed_cpus(record.variant), len(allowed_cpus())
            what = counted(max(threads, record.variant.streams), "thread", "threads")
            text = f"{what} on {counted(cpus, 'CPU', 'CPUs')} wait in turn"
            told.setdefault(text, []).append(label)
        if record.unsteady:
            processes = counted(record.unsteady, "process", "processes")
            text = "not steady after warming up"
            told.setdefault(text, []).append(f"{label} in {processes}")
        if record.spins:
            text = "threads stay busy between runs and slow the others"
            told.setdefault(text, []).append(label)
        spread = [math.exp(value) for row in record.latencies() for value in row]
        if len(spread) >= 8 and np.quantile(spread, 0.75) > 1.2 * np.quantile(spread, 0.25):
            told.setdefault("block medians vary by more than 20 %", []).append(label)
    return [f"{text}: {'; '.join(dict.fromkeys(labels))}" for text, labels in told.items()]


def notes(groups: list[Group], effort: Effort, seconds: float) -> list[str]:
    """Return what else a reader should know."""
    found = list(dict.fromkeys(group.fed for group in groups if group.fed))
    if any("cuda" in type(r.variant.backend).target().name for g in groups for r in g.records):
        found.append("peak memory is that of the host; the device's own is not among it")
    launches = max(len(record.opens) for group in groups for record in group.records)
    few = effort.launches is None and launches == LEAST_LAUNCHES
    if few and seconds > 1.1 * effort.budget_s:
        found.append(
            f"took {seconds:.1f} s, beyond the budget of {effort.budget_s:g} s: "
            "five processes a model are started in any case"
        )
    if any(record.devices() != [[]] * len(record.launches) for g in groups for record in g.records):
        found.append(
            "device time is between two events on the session's stream, before and after a run; "
            "the median is end to end: feeds and results are on the host, and every run ends once "
            "the stream is idle"
        )
    return found
