"""Environment variables that change how many threads run, and which devices are seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from onnxopt.diagnosis.finding import Finding, Severity
from onnxopt.diagnosis.system import System

_OWN_POOL = "ONNX Runtime has its own threads and does not read it"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variable:
    """A row: what a variable does where it is set."""

    names: tuple[str, ...]
    meaning: str
    severity: Severity = "note"


VARIABLES = (
    Variable(
        names=("OMP_NUM_THREADS", "OMP_THREAD_LIMIT"),
        meaning=f"{_OWN_POOL}; torch and numpy's products, and thereby calibration, do",
    ),
    Variable(
        names=("MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS"),
        meaning=f"{_OWN_POOL}; numpy's matrix products do, or torch's",
    ),
    Variable(
        names=("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT"),
        meaning="threads of other libraries may wait in busy loops and slow what is measured",
    ),
    Variable(
        names=("OMP_PROC_BIND", "OMP_PLACES", "KMP_AFFINITY", "GOMP_CPU_AFFINITY"),
        meaning="a library that reads it may pin the whole process to few cores",
        severity="warning",
    ),
    Variable(
        names=("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"),
        meaning="only these GPUs are seen, numbered from 0; none where it is empty, -1 or void",
    ),
    Variable(
        names=("CUDA_LAUNCH_BLOCKING",),
        meaning="every kernel is waited for: CUDA is slower than it could be",
        severity="warning",
    ),
    Variable(
        names=("LD_PRELOAD", "DYLD_INSERT_LIBRARIES"),
        meaning="these libraries are loaded into every process, allocators among them: memory and "
        "latency are not those of other machines",
    ),
    Variable(
        names=("PYTHONPATH",),
        meaning="modules found there are imported in place of installed packages",
    ),
)


def check(system: System) -> Iterator[Finding]:
    """Tell which of these are set."""
    found = [(row, name) for row in VARIABLES for name in row.names if name in system.environ]
    for row, name in found:
        yield Finding(
            topic="environment",
            severity=row.severity,
            text=f"{name}={system.environ[name]}",
            meaning=row.meaning,
            remedy=f"unset {name}",
        )
    if not found:
        text = "no variable is set that changes threads, devices or libraries"
        yield Finding(topic="environment", severity="ok", text=text)
