"""CUDA: the driver, the libraries, and whether they are those that the runtime was built for."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from onnxopt.diagnosis.finding import Finding
from onnxopt.diagnosis.packages import installed_runtimes
from onnxopt.diagnosis.system import System

_GET = 'pip install "onnxruntime-gpu[cuda,cudnn]"'
_FOLDERS = ("usr/lib/*-linux-gnu", "usr/lib64", "usr/local/cuda*/lib64", "usr/local/lib")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Library:
    """A row: a library that CUDA's provider loads, as a wheel and as a file of the system."""

    name: str
    wheel: str
    """A package's name without the suffix of CUDA's version."""
    file: str
    follows_cuda: bool
    """Whether its major version is CUDA's own."""


LIBRARIES = (
    Library(name="CUDA", wheel="nvidia-cuda-runtime", file="libcudart.so", follows_cuda=True),
    Library(name="cuBLAS", wheel="nvidia-cublas", file="libcublas.so", follows_cuda=True),
    Library(name="cuFFT", wheel="nvidia-cufft", file="libcufft.so", follows_cuda=False),
    Library(name="cuRAND", wheel="nvidia-curand", file="libcurand.so", follows_cuda=False),
    Library(name="cuDNN", wheel="nvidia-cudnn", file="libcudnn.so", follows_cuda=False),
)


def check(system: System) -> Iterator[Finding]:
    """Compare driver and libraries with the runtime's build, where there is a GPU or such a build.

    Whether they work together is known from the provider's own run of a node.
    """
    runtime = system.ask("runtime").result
    built = "CUDAExecutionProvider" in runtime.get("providers", [])
    driver = re.search(r"Kernel Module\D*([\d.]+)", system.text("/proc/driver/nvidia/version"))
    if driver is not None:
        yield Finding(topic="CUDA", severity="ok", text=f"NVIDIA driver {driver.group(1)}")
    if system.nvidia() and runtime and not built:
        names = " ".join(installed_runtimes(system))
        yield Finding(
            topic="CUDA",
            severity="note",
            text="there is an NVIDIA GPU, but this onnxruntime was built without CUDA",
            meaning="models run on the CPU only",
            remedy=f'pip uninstall -y {names} && pip install "onnxopt[gpu]"',
        )
    if built and system.nvidia() is False:
        yield Finding(
            topic="CUDA",
            severity="warning",
            text="onnxruntime was built with CUDA, but there is no NVIDIA driver",
            meaning="models run on the CPU only",
            remedy="nvidia-smi   # in a container: start it with --gpus all",
        )
    elif built:
        text = f"onnxruntime was built for CUDA {runtime.get('cuda') or 'of unknown version'}"
        yield Finding(topic="CUDA", severity="ok", text=text)
        yield from _libraries(system, str(runtime.get("cuda", "")).partition(".")[0])


def _libraries(system: System, major: str) -> Iterator[Finding]:
    """Tell where each library is; together, which are missing or of another version of CUDA."""
    unfit = []
    for library in LIBRARIES:
        copies = [*_wheels(system, library), *_files(system, library)]
        majors = {copy.rpartition(" ")[2].partition(".")[0] for copy in copies}
        asked = major if library.follows_cuda else _required(system, library)
        wanted = f" {asked}" if asked else ""
        if not copies or (asked and asked not in majors):
            unfit.append(f"{library.name}{wanted} ({', '.join(copies) or 'not found'})")
        else:
            text = f"{library.name}: {', '.join(copies)}"
            yield Finding(topic="CUDA", severity="ok", text=text)
    if unfit:
        yield Finding(
            topic="CUDA",
            severity="warning",
            text=f"libraries that the runtime was built for are missing: {', '.join(unfit)}",
            meaning="CUDA does not start, unless they lie in a folder of LD_LIBRARY_PATH",
            remedy=_GET,
        )


def _required(system: System, library: Library) -> str:
    """Return the major version that the installed runtime says it needs of a library's wheel."""
    for distribution in installed_runtimes(system).values():
        for text in distribution.requires or []:
            found = re.match(rf"{library.wheel}(?:-cu\d+)?\D*(\d+)", text.replace("_", "-"))
            if found is not None:
                return found.group(1)
    return ""


def _wheels(system: System, library: Library) -> list[str]:
    pattern = re.compile(rf"{library.wheel}(-cu\d+)?")
    found = system.distributions().items()
    return [f"{name} {each.version}" for name, each in found if pattern.fullmatch(name)]


def _files(system: System, library: Library) -> list[str]:
    """Return the system's own copies with the versions in their names, the longest of each link."""
    paths = [path for folder in _FOLDERS for path in system.files(f"{folder}/{library.file}.*")]
    versions = {path.resolve().name.removeprefix(f"{library.file}."): path for path in paths}
    return [f"{path.parent / library.file} {version}" for version, path in sorted(versions.items())]
