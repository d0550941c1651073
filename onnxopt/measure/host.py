"""What a measurement was taken on, and how quiet it was there."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_FLAGS = (
    *("avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve", "sve2"),
)
_PACKAGES = ("onnxopt", "onnxruntime", "onnxruntime-gpu", "openvino", "numpy")

_BUSY_LIMIT = 0.10
_STEAL_LIMIT = 0.02


@dataclasses.dataclass(frozen=True, kw_only=True)
class Host:
    """A machine, as far as it matters to a latency."""

    cpu: str
    flags: tuple[str, ...]
    """Instruction sets that inference kernels use."""
    cores: int
    """Logical cores that this process may use."""
    governor: str
    system: str
    versions: dict[str, str]

    @classmethod
    def here(cls) -> Host:
        """Describe this machine."""
        flags = set(_field("flags").split()) | set(_field("Features").split())
        return cls(
            cpu=_field("model name") or platform.processor() or platform.machine(),
            flags=tuple(flag for flag in _FLAGS if flag in flags),
            cores=len(allowed_cpus()),
            governor=_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip(),
            system=f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
            versions=dict(_versions()),
        )


def _versions() -> Sequence[tuple[str, str]]:
    found = []
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append((name, importlib.metadata.version(name)))
    return found


def allowed_cpus() -> tuple[int, ...]:
    """Return the logical cores that this process may run on."""
    if sys.platform == "linux":
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quiet:
    """How much of the cores others took while something was measured, from 0 to 1."""

    others: float
    """Other processes of this machine."""
    steal: float
    """Other machines on the same hardware."""

    def warnings(self) -> list[str]:
        """Say what makes the figures doubtful."""
        found = []
        if self.others > _BUSY_LIMIT:
            found.append(f"other processes took {100 * self.others:.0f} % of the cores: stop them")
        if self.steal > _STEAL_LIMIT:
            found.append(
                f"other machines on this hardware took {100 * self.steal:.0f} % of the cores"
            )
        return found


class Watch:
    """Measures from its making to ``read`` how quiet the machine is; silent without /proc."""

    def __init__(self) -> None:
        self._cpus = allowed_cpus()
        self._start = time.monotonic()
        self._before = _ticks(self._cpus)
        self._own = _own_seconds()

    def read(self) -> Quiet:
        """Return the shares since the start; what the own children took counts once they ended."""
        after = _ticks(self._cpus)
        if self._before is None or after is None:
            return Quiet(others=0.0, steal=0.0)
        seconds = max(time.monotonic() - self._start, 1e-3) * len(self._cpus)
        busy, steal = (late - early for late, early in zip(after, self._before, strict=True))
        own = _own_seconds() - self._own
        return Quiet(others=max(busy - own, 0.0) / seconds, steal=steal / seconds)


def _own_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _ticks(cpus: Sequence[int]) -> tuple[float, float] | None:
    """Return the seconds that these cores were busy and stolen since the machine started."""
    lines = {line.split()[0]: line.split()[1:] for line in _text("/proc/stat").splitlines() if line}
    rows = [[int(n) for n in lines[f"cpu{cpu}"]] for cpu in cpus if f"cpu{cpu}" in lines]
    if not rows or min(len(row) for row in rows) < 8:
        return None
    unit = os.sysconf("SC_CLK_TCK")
    busy = sum(row[0] + row[1] + row[2] + row[5] + row[6] for row in rows)
    return busy / unit, sum(row[7] for row in rows) / unit


def _field(name: str) -> str:
    for line in _text("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
