"""Packages that cannot stand beside one another, and files that are not what was installed."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from onnxopt.diagnosis.finding import Finding
from onnxopt.diagnosis.system import Distribution, System, normal

RUNTIMES = {
    "onnxruntime": 'pip install "onnxopt[cpu]"',
    "onnxruntime-gpu": 'pip install "onnxopt[gpu]"',
    "onnxruntime-openvino": "pip install onnxruntime-openvino",
    "onnxruntime-directml": "pip install onnxruntime-directml",
    "onnxruntime-qnn": "pip install onnxruntime-qnn",
    "onnxruntime-training": "pip install onnxruntime-training",
    "onnxruntime-rocm": "pip install onnxruntime-rocm",
    "onnxruntime-migraphx": "pip install onnxruntime-migraphx",
    "onnxruntime-cann": "pip install onnxruntime-cann",
    "onnxruntime-vitisai": "pip install onnxruntime-vitisai",
    "ort-nightly": "pip install ort-nightly",
    "ort-nightly-gpu": "pip install ort-nightly-gpu",
}
"""The packages that hold the module ``onnxruntime``, in the same files, and how to get them."""

_TOPIC = "packages"
_PREFERRED = ("onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")
"""Of several, whoever installed one of these wanted it."""
_TOLD = 3


def installed_runtimes(system: System) -> dict[str, Distribution]:
    """Return the packages of ONNX Runtime that are installed."""
    found = system.distributions()
    return {name: found[name] for name in RUNTIMES if name in found}


def reinstall(system: System) -> str:
    """Return the command that puts the installed package of ONNX Runtime right."""
    found = installed_runtimes(system)
    if len(found) != 1:
        wanted = next((name for name in _PREFERRED if name in found), "onnxruntime")
        return f"{_remove(found)}{RUNTIMES[wanted]}"
    ((name, distribution),) = found.items()
    return f"pip install --force-reinstall --no-deps {name}=={distribution.version}"


def _remove(found: Iterable[str]) -> str:
    names = " ".join(found)
    return f"pip uninstall -y {names} && " if names else ""


def check(system: System) -> Iterator[Finding]:
    """Look for runtimes that overwrite each other, damaged files, doubles and stray modules."""
    runtimes = installed_runtimes(system)
    if len(runtimes) > 1:
        yield _overwritten(runtimes, reinstall(system))
    elif runtimes:
        (name,) = runtimes
        yield _whole(name, runtimes[name], reinstall(system))
    else:
        yield Finding(
            topic=_TOPIC,
            severity="problem",
            text="onnxruntime is not installed",
            meaning="nothing can be run, measured or verified on ONNX Runtime",
            remedy=f"{RUNTIMES['onnxruntime']}   # or {RUNTIMES['onnxruntime-gpu']}",
        )
    yield from _doubles(system)
    yield from _strays(system)


def _overwritten(runtimes: dict[str, Distribution], remedy: str) -> Finding:
    intact = [name for name, each in runtimes.items() if not any(_damage(each))]
    left = f"the files are those of {intact[0]}" if len(intact) == 1 else "the files are a mixture"
    told = " and ".join(f"{name} {each.version}" for name, each in runtimes.items())
    return Finding(
        topic=_TOPIC,
        severity="problem",
        text=f"{told} are both installed: {left}",
        meaning="they are the same folder and overwrite each other: providers get lost, and "
        "removing one of them removes files of the other",
        remedy=remedy,
    )


def _whole(name: str, distribution: Distribution, remedy: str) -> Finding:
    absent, altered = _damage(distribution)
    if not absent and not altered:
        return Finding(
            topic=_TOPIC, severity="ok", text=f"{name} {distribution.version}, all files intact"
        )
    what = [f"{len(absent)} files are missing"] if absent else []
    what += [f"{len(altered)} are not those that were installed"] if altered else []
    named = ", ".join((absent + altered)[:_TOLD])
    return Finding(
        topic=_TOPIC,
        severity="problem",
        text=f"{name} {distribution.version}: {' and '.join(what)} ({named})",
        meaning="another package of ONNX Runtime was installed or removed after it",
        remedy=remedy,
    )


def _damage(distribution: Distribution) -> tuple[list[str], list[str]]:
    """Return the recorded files that are missing, and those with another size or content."""
    absent, altered = [], []
    for file in distribution.files or []:
        if file.size is None or file.suffix == ".pyc":
            continue
        path = Path(str(distribution.locate_file(file)))
        if not path.is_file():
            absent.append(str(file))
        elif path.stat().st_size != file.size or not _same(path, file):
            altered.append(str(file))
    return absent, altered


def _same(path: Path, file: importlib.metadata.PackagePath) -> bool:
    """Compare the content of Python's files; sizes tell the large libraries apart."""
    if file.hash is None or file.hash.mode != "sha256" or path.suffix != ".py":
        return True
    digest = hashlib.sha256(path.read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value


def _doubles(system: System) -> Iterator[Finding]:
    """Find packages of ours that are installed in two places at once."""
    own = {"onnx", "onnx-ir", "numpy", *RUNTIMES}
    counts: Counter[str] = Counter()
    versions: dict[str, list[str]] = {}
    for each in system.all_distributions():
        name = normal(each.name)
        versions.setdefault(name, []).append(each.version)
        counts[name] += 1
    for name in sorted(own & counts.keys()):
        if len(set(versions[name])) > 1:
            yield Finding(
                topic=_TOPIC,
                severity="warning",
                text=f"{name} is there {counts[name]} times: {', '.join(versions[name])}",
                meaning=f"Python imports {versions[name][0]}; parts of another may be left over",
                remedy=f"pip uninstall -y {name} && pip install {name}",
            )


def _strays(system: System) -> Iterator[Finding]:
    """Find folders of the current directory that Python would import instead of a package."""
    here = Path.cwd()
    for module in ("numpy", "onnx", "onnx_ir", "onnxruntime"):
        stray = here / module
        if (stray / "__init__.py").is_file() and str(here) not in system.places[1:]:
            yield Finding(
                topic=_TOPIC,
                severity="warning",
                text=f"this folder holds '{module}'",
                meaning="'python -m' and scripts in this folder import it in place of the package",
                remedy=f"cd elsewhere, or rename {stray}",
            )
