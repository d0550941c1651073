"""What a container may take of the machine's cores and memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import PurePosixPath

from onnxopt.diagnosis.system import System

_ENDLESS = 1 << 60
"""Bytes from which a limit is none: version 1 writes a number near 2**63 for that."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """The tightest limits of all control groups that the process is in; None is no limit."""

    cpus: float | None
    """CPU time for each second."""
    memory: int | None
    """Bytes."""
    throttled: int
    """Periods in which the group was stopped because its CPU time was used up."""


def limits(system: System) -> Limits:
    """Read the limits of versions 1 and 2 of control groups, from the own group up to the root."""
    cpus = [found for folder in _folders(system, "cpu") for found in _cpus(system, folder)]
    memory = [found for folder in _folders(system, "memory") for found in _memory(system, folder)]
    stops = [_throttled(system.text(f"{f}/cpu.stat")) for f in _folders(system, "cpu")]
    return Limits(
        cpus=min(cpus, default=None),
        memory=min(memory, default=None),
        throttled=max(stops, default=0),
    )


def _folders(system: System, controller: str) -> Iterator[str]:
    """Yield the folders of the process's groups and of all above, under both versions' roots."""
    for line in system.text("/proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        roots = [f"/sys/fs/cgroup/{controllers}", f"/sys/fs/cgroup/{controller}"]
        for root in dict.fromkeys(roots if controllers else ["/sys/fs/cgroup"]):
            group = PurePosixPath("/") / path.lstrip("/")
            for each in (group, *group.parents):
                yield f"{root}{'' if each.name == '' else each}"


def _cpus(system: System, folder: str) -> Iterator[float]:
    quota, _, period = system.text(f"{folder}/cpu.max").partition(" ")
    if not quota:
        quota = system.text(f"{folder}/cpu.cfs_quota_us")
        period = system.text(f"{folder}/cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit() and int(period):
        yield int(quota) / int(period)


def _memory(system: System, folder: str) -> Iterator[int]:
    for name in ("memory.max", "memory.limit_in_bytes"):
        text = system.text(f"{folder}/{name}")
        if text.isdigit() and int(text) < _ENDLESS:
            yield int(text)


def _throttled(stat: str) -> int:
    counts = dict(line.partition(" ")[::2] for line in stat.splitlines())
    return int(counts.get("nr_throttled", "0"))
