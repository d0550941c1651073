"""The machine and the installation that are looked at."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from onnxopt.diagnosis.child import Reply, ask
from onnxopt.host import Host, allowed_cpus

Distribution = importlib.metadata.Distribution


@dataclasses.dataclass(frozen=True, kw_only=True)
class System:
    """Everything that a check may look at; tests put other values in the place of these."""

    host: Host
    root: Path = Path("/")
    """Where /proc, /sys and libraries are found."""
    environ: Mapping[str, str] = dataclasses.field(default_factory=lambda: os.environ)
    places: tuple[str, ...] = dataclasses.field(default_factory=lambda: tuple(sys.path))
    """Where packages are looked for."""
    cpus: int = dataclasses.field(default_factory=lambda: len(allowed_cpus()))
    """Logical cores that the process may run on."""
    machine: str = dataclasses.field(default_factory=platform.machine)
    ask: Callable[..., Reply] = ask
    """Does a task in a process of its own, which may crash."""

    @classmethod
    def here(cls) -> System:
        """Return this machine and this installation."""
        return cls(host=Host.here(), ask=functools.cache(ask))

    def text(self, path: str) -> str:
        """Return what a file of the system says, ``""`` where there is none."""
        try:
            return (self.root / path.lstrip("/")).read_text("utf-8", "replace").strip()
        except OSError:
            return ""

    def files(self, pattern: str) -> list[Path]:
        """Return the files of the system that match a pattern."""
        return sorted(self.root.glob(pattern.lstrip("/")))

    def nvidia(self) -> bool | None:
        """Say whether there is an NVIDIA driver; None where the system does not tell."""
        if not self.text("/proc/version"):
            return None
        return bool(self.text("/proc/driver/nvidia/version")) or (self.root / "dev/dxg").exists()

    def distributions(self) -> dict[str, Distribution]:
        """Return what is installed by its name; of two with one name, what Python would import."""
        found: dict[str, Distribution] = {}
        for distribution in self.all_distributions():
            found.setdefault(normal(distribution.name), distribution)
        return found

    def all_distributions(self) -> Iterator[Distribution]:
        """Return what is installed, a name as often as it is there."""
        yield from importlib.metadata.distributions(path=list(self.places))


def normal(name: str) -> str:
    """Return a package's name as indexes compare it: ``nvidia_cudnn`` is ``nvidia-cudnn``."""
    return re.sub(r"[-_.]+", "-", name).lower()
