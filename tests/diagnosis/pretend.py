"""Machines and installations that are not there."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxopt.diagnosis import Finding, System
from onnxopt.diagnosis.child import Reply
from onnxopt.host import Host

RUNTIME = {
    "version": "1.31.1",
    "file": "",
    "providers": ["AzureExecutionProvider", "CPUExecutionProvider"],
    "cuda": "",
    "ir": 13,
    "opset": 26,
    "threads": 4,
}
VERSIONS = {"onnx": "1.20.0", "onnx-ir": "1.1.0", "numpy": "2.4.0", "ir": 13, "opset": 26}
RIGHT: dict[str, Any] = {"off": 0.0, "elsewhere": []}
TARGETS = {"cpu": None, "cuda": "no CUDA", "provider": None, "openvino": "it is not installed"}


def replies(**other: Reply) -> dict[str, Reply]:
    """Return what tasks answer on a sound machine, but for those given."""
    sound = {
        "versions": Reply(VERSIONS),
        "loading": Reply({"version": "1.31.1"}),
        "runtime": Reply(RUNTIME),
        "targets": Reply(dict(TARGETS)),
        "node": Reply(RIGHT),
    }
    return sound | other


def system(
    tmp_path: Path,
    *,
    flags: tuple[str, ...] = ("avx2", "avx512f", "avx512_vnni"),
    machine: str = "x86_64",
    cpus: int = 4,
    governor: str = "",
    environ: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    tasks: Mapping[str, Reply] | None = None,
) -> System:
    """Return a machine with these files of the system, and packages in ``site``."""
    for path, text in {"proc/version": "Linux", **(files or {})}.items():
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    answers = tasks or replies()

    def ask(task: str, *words: str) -> Reply:
        return answers.get(" ".join((task, *words)), answers[task])

    host = Host(
        cpu="Some CPU", flags=flags, cores=cpus, governor=governor, system="Linux", versions={}
    )
    return System(
        host=host,
        root=tmp_path,
        environ=environ or {},
        places=(str(tmp_path / "site"),),
        cpus=cpus,
        machine=machine,
        ask=ask,
    )


def cores(count: int) -> dict[str, str]:
    """Return the files by which a system tells of cores with two threads each."""
    folder = "sys/devices/system/cpu/cpu{}/topology"
    return {
        f"{folder.format(cpu)}/{name}": str(value)
        for cpu in range(2 * count)
        for name, value in {"physical_package_id": 0, "core_id": cpu // 2}.items()
    }


def install(
    tmp_path: Path, name: str, version: str, files: Mapping[str, str], requires: str = ""
) -> None:
    """Put a package into ``site``, over what is there."""
    site = tmp_path / "site"
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}"
    )
    record = []
    for path, text in files.items():
        place = site / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
        record.append(f"{path},sha256={digest.rstrip(b'=').decode()},{len(text)}\n")
    (folder / "RECORD").write_text("".join(record))


def told(findings: list[Finding], *, least: str = "note") -> list[tuple[str, str]]:
    """Return severity and text of all findings from a severity on."""
    order = ("ok", "note", "warning", "problem")
    return [
        (finding.severity, finding.text)
        for finding in findings
        if order.index(finding.severity) >= order.index(least)
    ]
