"""What makes latencies move from one run to the next."""

from __future__ import annotations

from collections.abc import Iterator

from onnxopt.diagnosis.finding import Finding
from onnxopt.diagnosis.system import System

_CPU = "/sys/devices/system/cpu"
_SAVING = ("powersave", "ondemand", "conservative", "schedutil")
_BUSY = 0.5
"""Load for each core of the machine, which the system counts the load of."""


def check(system: System) -> Iterator[Finding]:
    """Look at the frequency governor, turbo and what else runs."""
    governor, driver = system.host.governor, system.text(f"{_CPU}/cpu0/cpufreq/scaling_driver")
    if governor in _SAVING and not (governor == "powersave" and driver.startswith("intel_pstate")):
        yield Finding(
            topic="steadiness",
            severity="note",
            text=f"the CPU's frequency governor is '{governor}'",
            meaning="frequencies follow the load: the first runs after a pause are slower",
            remedy="sudo cpupower frequency-set -g performance",
        )
    elif governor:
        yield Finding(topic="steadiness", severity="ok", text=f"frequency governor '{governor}'")
    yield from _turbo(system)
    load = system.text("/proc/loadavg").split()[:1]
    online = len(system.files("/sys/devices/system/cpu/cpu[0-9]*")) or system.cpus
    if load and float(load[0]) > _BUSY * online:
        yield Finding(
            topic="steadiness",
            severity="warning",
            text=f"the load is {load[0]} on the {online} cores of the machine",
            meaning="what is measured now is as much about what else runs",
            remedy="top   # see what runs, and stop it",
        )
    elif load:
        yield Finding(topic="steadiness", severity="ok", text=f"the load is {load[0]}")


def _turbo(system: System) -> Iterator[Finding]:
    off = system.text(f"{_CPU}/intel_pstate/no_turbo")
    boost = system.text(f"{_CPU}/cpufreq/boost")
    if off == "0" or boost == "1":
        path, value = (f"{_CPU}/intel_pstate/no_turbo", 1) if off else (f"{_CPU}/cpufreq/boost", 0)
        yield Finding(
            topic="steadiness",
            severity="note",
            text="turbo frequencies are on",
            meaning="latency depends on temperature and on how many cores are busy",
            remedy=f"echo {value} | sudo tee {path}   # while you measure",
        )
