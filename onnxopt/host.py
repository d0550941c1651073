"""The machine that something runs on, as far as it matters to a latency."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

_FLAGS = (
    *("avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve", "sve2"),
)
_PACKAGES = ("onnxopt", "onnxruntime", "onnxruntime-gpu", "openvino", "numpy")


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
    turbo: str = ""
    """Whether the clock may rise above the nominal one, where the system tells."""
    gpu: str = ""

    @classmethod
    def here(cls) -> Host:
        """Describe this machine."""
        flags = set(field("flags").split()) | set(field("Features").split())
        return cls(
            cpu=field("model name") or platform.processor() or platform.machine(),
            flags=tuple(flag for flag in _FLAGS if flag in flags),
            cores=len(allowed_cpus()),
            governor=file_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip(),
            system=f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
            versions=dict(_versions()),
            turbo=_turbo(),
            gpu=gpu(),
        )


def _turbo() -> str:
    off = file_text("/sys/devices/system/cpu/intel_pstate/no_turbo").strip()
    boost = file_text("/sys/devices/system/cpu/cpufreq/boost").strip()
    return "off" if off == "1" or boost == "0" else "on" if off or boost else ""


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


def spread_cpus() -> tuple[int, ...]:
    """Return the allowed logical cores so that each prefix has as many physical ones as it can."""
    path = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    met: dict[str, int] = {}
    ranked = []
    for cpu in allowed_cpus():
        core = file_text(path.format(cpu)).strip() or str(cpu)
        met[core] = met.get(core, 0) + 1
        ranked.append((met[core], cpu))
    return tuple(cpu for _, cpu in sorted(ranked))


def gpu() -> str:
    """Return what NVIDIA's driver says of its cards and of itself, "" without one."""
    folder = Path("/proc/driver/nvidia")
    cards = [file_text(str(path)) for path in sorted(folder.glob("gpus/*/information"))]
    models = [line.partition(":")[2].strip() for c in cards for line in c.splitlines()[:1]]
    driver = file_text(str(folder / "version")).partition("Kernel Module")[2].split()[:1]
    return ", ".join([*models, *(f"driver {each}" for each in driver)]) if models else ""


def field(name: str) -> str:
    """Return the first value of a name in /proc/cpuinfo, "" without one."""
    for line in file_text("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def file_text(path: str) -> str:
    """Return what a file of the system says, "" where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
