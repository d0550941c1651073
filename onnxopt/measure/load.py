"""How quiet the machine was while something was measured."""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Sequence

from onnxopt.host import allowed_cpus, file_text

_BUSY_LIMIT = 0.10
_STEAL_LIMIT = 0.02
_HOPELESS = 0.5
_DRIFT_LIMIT = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quiet:
    """How much of the cores others took while something was measured, from 0 to 1."""

    others: float
    """Other processes of this machine."""
    steal: float
    """Other machines on the same hardware."""
    mhz: tuple[float, float] | None = None
    """The lowest and highest clock of the cores between launches, where the system tells."""

    @property
    def hopeless(self) -> bool:
        """Whether others took so much that no figure means anything."""
        return self.others + self.steal > _HOPELESS

    def warnings(self) -> list[str]:
        """Say what makes the figures doubtful."""
        found = []
        if self.others > _BUSY_LIMIT:
            found.append(f"other processes took {100 * self.others:.0f} % of the cores: stop them")
        if self.steal > _STEAL_LIMIT:
            found.append(
                f"other machines on this hardware took {100 * self.steal:.0f} % of the cores"
            )
        if self.mhz is not None and abs(self.mhz[1] / self.mhz[0] - 1) > _DRIFT_LIMIT:
            low, high = self.mhz
            found.append(f"the clock of the cores moved from {low:.0f} to {high:.0f} MHz: fix it")
        return found


class Watch:
    """Measures from its making to ``read`` how quiet the machine is; silent without /proc.

    Of all CPUs that may be used, or of those that are: a neighbour on one of many is no small thing
    to what is kept to that one.
    """

    def __init__(self, cpus: Sequence[int] | None = None) -> None:
        self._cpus = tuple(cpus or allowed_cpus())
        self._start = time.monotonic()
        self._before = _ticks(self._cpus)
        self._own = _own_seconds()
        self._clocks: list[float] = []

    def sample(self) -> None:
        """Note the clock of the cores, at a moment when they have had work."""
        now = _clock(self._cpus)
        if now is not None:
            self._clocks.append(now)

    def read(self) -> Quiet:
        """Return the shares since the start; what the own children took counts once they ended."""
        after = _ticks(self._cpus)
        if self._before is None or after is None:
            return Quiet(others=0.0, steal=0.0)
        seconds = max(time.monotonic() - self._start, 1e-3) * len(self._cpus)
        busy, steal = (late - early for late, early in zip(after, self._before, strict=True))
        own = _own_seconds() - self._own
        return Quiet(
            others=max(busy - own, 0.0) / seconds,
            steal=steal / seconds,
            mhz=(min(self._clocks), max(self._clocks)) if self._clocks else None,
        )


class Meter:
    """Measures from its making what others take of the CPUs during one round."""

    def __init__(self, cpus: Sequence[int] | None = None) -> None:
        self._cpus = tuple(cpus or allowed_cpus())
        self._start = time.monotonic()
        self._own = time.process_time()
        self._before = _ticks(self._cpus)

    def others(self, workers_s: float) -> float:
        """Return the share of the CPUs that others took, other machines included.

        ``workers_s`` is what the own workers took. 0 where the system does not tell.
        """
        after = _ticks(self._cpus)
        if self._before is None or after is None:
            return 0.0
        taken = sum(after) - sum(self._before) - workers_s - (time.process_time() - self._own)
        return taken / (max(time.monotonic() - self._start, 1e-3) * len(self._cpus))


def _clock(cpus: Sequence[int]) -> float | None:
    """Return the mean clock of some cores in MHz."""
    path = "/sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq"
    found = [file_text(path.format(cpu)) for cpu in cpus]
    if all(found):
        return statistics.fmean(int(text) / 1000 for text in found)
    lines = [line for line in file_text("/proc/cpuinfo").splitlines() if line.startswith("cpu MHz")]
    return statistics.fmean(float(line.partition(":")[2]) for line in lines) if lines else None


def _own_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _ticks(cpus: Sequence[int]) -> tuple[float, float] | None:
    """Return the seconds that these cores were busy and stolen since the machine started."""
    lines = {
        line.split()[0]: line.split()[1:] for line in file_text("/proc/stat").splitlines() if line
    }
    rows = [[int(n) for n in lines[f"cpu{cpu}"]] for cpu in cpus if f"cpu{cpu}" in lines]
    if not rows or min(len(row) for row in rows) < 8:
        return None
    unit = os.sysconf("SC_CLK_TCK")
    busy = sum(row[0] + row[1] + row[2] + row[5] + row[6] for row in rows)
    return busy / unit, sum(row[7] for row in rows) / unit
