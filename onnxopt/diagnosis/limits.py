"""Cores and memory: what there is, what may be used, and what the runtime takes without asking."""

from __future__ import annotations

import math
from collections.abc import Iterator

from onnxopt.diagnosis.cgroup import Limits, limits
from onnxopt.diagnosis.finding import Finding
from onnxopt.diagnosis.system import System
from onnxopt.render import bytes_text

_WAITING = "more threads than cores wait for one another in busy loops: runs get slower"
_STOPPED = (
    "once they have used up the quota, the whole process stands still until the next period: runs "
    "get slower, and some much slower"
)
_LITTLE_MEMORY = 1_000_000_000


def check(system: System) -> Iterator[Finding]:
    """Compare the threads that the runtime starts by itself with the cores it may use."""
    allowed = limits(system)
    yield from _threads(system, allowed)
    yield from _memory(system, allowed)


def physical_cores(system: System) -> int | None:
    """Return the physical cores of the machine; None where the system does not tell."""
    folders = system.files("/sys/devices/system/cpu/cpu[0-9]*/topology")
    names = ("physical_package_id", "core_id")
    cores = {tuple(system.text(f"{_within(system, f)}/{n}") for n in names) for f in folders}
    return len(cores) or None


def _within(system: System, path: object) -> str:
    return "/" + str(path).removeprefix(str(system.root)).lstrip("/")


def _threads(system: System, allowed: Limits) -> Iterator[Finding]:
    cores = physical_cores(system)
    machine = _counted(cores, "physical core") if cores else "an unknown number of cores"
    usable = min(float(system.cpus), allowed.cpus or math.inf)
    limit = _counted(system.cpus, "logical core")
    if allowed.cpus is not None:
        limit += f", CPU time for {allowed.cpus:g} by the container's quota"
    threads = system.ask("runtime").result.get("threads", 0) or cores
    text = f"the machine has {machine}; this process may use {limit}"
    if threads and threads > math.ceil(usable):
        count = max(math.floor(usable), 1)
        yield Finding(
            topic="threads",
            severity="warning",
            text=f"{text}; the runtime starts {_counted(threads, 'thread')} by itself",
            meaning=_WAITING if allowed.cpus is None else _STOPPED,
            remedy=f"onnxopt bench MODEL --threads {count}   # intra_op_num_threads = {count}",
        )
    else:
        started = f"; the runtime starts {_counted(threads, 'thread')} by itself" if threads else ""
        yield Finding(topic="threads", severity="ok", text=text + started)
    if allowed.throttled:
        times = _counted(allowed.throttled, "time")
        yield Finding(
            topic="threads",
            severity="note",
            text=f"the container was stopped {times} for using up its CPU time",
            meaning="runs that fall into such a stop take up to 0.1 s longer",
            remedy="fewer threads, or a larger quota: docker run --cpus N",
        )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _memory(system: System, allowed: Limits) -> Iterator[Finding]:
    table = dict(line.partition(":")[::2] for line in system.text("/proc/meminfo").splitlines())
    free = _kilobytes(table.get("MemAvailable", ""))
    if free is None:
        return
    text = f"{bytes_text(free)} of memory are free"
    usable = free
    if allowed.memory is not None:
        text += f"; the container may take {bytes_text(allowed.memory)} in all"
        usable = min(free, allowed.memory)
    little = usable < _LITTLE_MEMORY
    yield Finding(
        topic="memory",
        severity="warning" if little else "ok",
        text=text,
        meaning="large models will be killed while they are optimized or run" if little else "",
        remedy="stop what else runs, or give the container more: docker run --memory 4g"
        if little
        else "",
    )


def _kilobytes(text: str) -> int | None:
    number = text.split()[:1]
    return int(number[0]) * 1024 if number and number[0].isdigit() else None
