"""CPU features, quotas, governors, variables, temporary files."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxopt import host
from onnxopt.diagnosis import cpu, limits, steadiness, storage, variables
from onnxopt.diagnosis.cgroup import limits as allowed
from onnxopt.diagnosis.child import Reply
from onnxopt.kernels import VNNI
from tests.diagnosis.pretend import RUNTIME, cores, replies, system, told

V2 = {"proc/self/cgroup": "0::/a/b\n"}
V1 = {"proc/self/cgroup": "5:cpu,cpuacct:/a\n4:memory:/a\n1:name=systemd:/\n"}


def test_no_vnni_means_saturation(tmp_path: Path) -> None:
    (finding,) = [
        each for each in cpu.check(system(tmp_path, flags=("avx2", "avx512f"))) if each.meaning
    ]
    assert (finding.severity, finding.text) == ("warning", "no VNNI")
    assert "saturate at 16 bits" in finding.meaning


@pytest.mark.parametrize("flag", ["avx512_vnni", "avx_vnni", "amx_int8"])
def test_any_vnni_is_enough(tmp_path: Path, flag: str) -> None:
    assert told(list(cpu.check(system(tmp_path, flags=("avx2", flag))))) == []


def test_old_and_unknown_cpus_are_told(tmp_path: Path) -> None:
    found = told(list(cpu.check(system(tmp_path, flags=("f16c",)))))
    assert found == [("warning", "no AVX2"), ("warning", "no VNNI")]
    assert told(list(cpu.check(system(tmp_path, flags=()))))[0][0] == "note"


def test_arm_has_other_rows(tmp_path: Path) -> None:
    arm = system(tmp_path, flags=("asimd", "asimddp", "i8mm"), machine="aarch64")
    texts = [each.text for each in cpu.check(arm)]
    assert len(texts) == 4
    assert any(text.startswith("NEON: ") for text in texts)
    assert not any("VNNI" in text for text in texts)
    old = system(tmp_path, flags=("asimd",), machine="aarch64")
    assert told(list(cpu.check(old))) == [("note", "no dot product")]


@pytest.mark.parametrize(
    "files",
    [
        {**V2, "sys/fs/cgroup/a/cpu.max": "250000 100000\n", "sys/fs/cgroup/cpu.max": "max 100000"},
        {**V2, "sys/fs/cgroup/a/b/cpu.max": "max 100000", "sys/fs/cgroup/cpu.max": "250000 100000"},
        {
            **V1,
            "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "250000",
            "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
        {
            **V1,
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "250000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    ],
)
def test_quotas_are_found_in_both_versions(tmp_path: Path, files: dict[str, str]) -> None:
    assert allowed(system(tmp_path, files=files)).cpus == 2.5


def test_the_tightest_memory_limit_counts(tmp_path: Path) -> None:
    two = {"sys/fs/cgroup/a/memory.max": "4000000000", "sys/fs/cgroup/a/b/memory.max": "max"}
    assert allowed(system(tmp_path, files={**V2, **two})).memory == 4_000_000_000
    one = {"sys/fs/cgroup/memory/a/memory.limit_in_bytes": str(2**63 - 4096)}
    assert allowed(system(tmp_path / "v1", files={**V1, **one})).memory is None


def test_a_quota_below_the_runtimes_threads_is_told(tmp_path: Path) -> None:
    files = {
        **V2,
        **cores(4),
        "sys/fs/cgroup/cpu.max": "150000 100000",
        "sys/fs/cgroup/a/cpu.stat": "usage_usec 5\nnr_throttled 17\n",
        "proc/meminfo": "MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\n",
        "sys/fs/cgroup/a/memory.max": "500000000",
    }
    found = list(limits.check(system(tmp_path, cpus=8, files=files)))
    assert found[0].severity == "warning"
    assert found[0].text == (
        "the machine has 4 physical cores; this process may use 8 logical cores, CPU time for 1.5 "
        "by the container's quota; the runtime starts 4 threads by itself"
    )
    assert "until the next period" in found[0].meaning
    assert found[0].remedy.startswith("onnxopt bench MODEL --threads 1 ")
    assert found[1].text.startswith("the container was stopped 17 times")
    assert found[2].severity == "warning"
    assert found[2].text == "8.19 GB of memory are free; the container may take 500 MB in all"


def test_one_of_anything_is_told_as_one(tmp_path: Path) -> None:
    tasks = replies(runtime=Reply({**RUNTIME, "threads": 1}))
    (finding,) = limits.check(system(tmp_path, cpus=1, tasks=tasks))
    assert finding.text == (
        "the machine has an unknown number of cores; this process may use 1 logical core; the "
        "runtime starts 1 thread by itself"
    )


def test_affinity_below_the_runtimes_threads_is_told(tmp_path: Path) -> None:
    (finding,) = limits.check(system(tmp_path, cpus=2, files=cores(4)))
    assert finding.severity == "warning"
    assert "busy loops" in finding.meaning
    assert "--threads 2 " in finding.remedy


def test_as_many_threads_as_cores_are_sound(tmp_path: Path) -> None:
    assert told(list(limits.check(system(tmp_path, cpus=8, files=cores(4))))) == []
    silent = replies(runtime=replies()["node"])
    assert told(list(limits.check(system(tmp_path / "x", cpus=8, tasks=silent)))) == []


@pytest.mark.parametrize(
    ("governor", "files", "expected"),
    [
        ("performance", {}, []),
        ("schedutil", {}, ["the CPU's frequency governor is 'schedutil'"]),
        ("powersave", {"cpu0/cpufreq/scaling_driver": "intel_pstate"}, []),
        ("", {"intel_pstate/no_turbo": "0"}, ["turbo frequencies are on"]),
        ("", {"cpufreq/boost": "1"}, ["turbo frequencies are on"]),
        ("", {"cpufreq/boost": "0"}, []),
    ],
)
def test_what_makes_latency_move_is_told(
    tmp_path: Path, governor: str, files: dict[str, str], expected: list[str]
) -> None:
    placed = {f"sys/devices/system/cpu/{path}": text for path, text in files.items()}
    seen = system(tmp_path, governor=governor, files=placed)
    assert [text for _, text in told(list(steadiness.check(seen)))] == expected


def test_load_counts_by_core(tmp_path: Path) -> None:
    files = {"proc/loadavg": "3.10 2.0 1.0 1/100 5"}
    assert told(list(steadiness.check(system(tmp_path, cpus=8, files=files)))) == []
    ((severity, text),) = told(list(steadiness.check(system(tmp_path, cpus=4, files=files))))
    assert (severity, text) == ("warning", "the load is 3.10 on the 4 cores of the machine")
    busy = tmp_path / "large"  # a container of 4 cores on a machine of 16, whose load it sees
    seen = system(busy, cpus=4, files={**files, **cores(8)})
    assert told(list(steadiness.check(seen))) == []


def test_variables_are_told_with_what_they_do(tmp_path: Path) -> None:
    environ = {"OMP_NUM_THREADS": "1", "CUDA_LAUNCH_BLOCKING": "1", "HOME": "/"}
    found = list(variables.check(system(tmp_path, environ=environ)))
    assert [(each.severity, each.text, each.remedy) for each in found] == [
        ("note", "OMP_NUM_THREADS=1", "unset OMP_NUM_THREADS"),
        ("warning", "CUDA_LAUNCH_BLOCKING=1", "unset CUDA_LAUNCH_BLOCKING"),
    ]
    assert told(list(variables.check(system(tmp_path)))) == []


def test_a_temporary_folder_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    seen = system(tmp_path, environ={"TMPDIR": str(tmp_path / "none")})
    (finding,) = storage.check(seen)
    assert finding.severity == "problem"
    assert finding.remedy.startswith("export TMPDIR=")


def test_a_machine_tells_what_kernels_are_chosen_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "field", lambda name: " ".join(VNNI) if name == "flags" else "")
    assert set(host.Host.here().flags) == set(VNNI)
