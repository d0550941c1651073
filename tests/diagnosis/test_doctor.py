"""The whole diagnosis: of this machine, of pretended ones."""

from __future__ import annotations

from pathlib import Path

from onnxopt.diagnosis import diagnose
from onnxopt.diagnosis.child import Reply
from tests.diagnosis.pretend import install, replies, system


def sound(tmp_path: Path) -> None:
    """Install what a sound machine has."""
    install(tmp_path, "onnxruntime", "1.31.1", {"onnxruntime/__init__.py": ""})


def test_a_sound_machine_has_nothing_to_complain_of(tmp_path: Path) -> None:
    sound(tmp_path)
    found = diagnose(system(tmp_path))
    assert not found.problem
    assert found.summary() in ("nothing to complain of", "1 warning")  # the folder may be small
    assert str(found).startswith("packages\n  ok       onnxruntime 1.31.1, all files intact\n")


POOR = {"proc/loadavg": "9.0 2.0 1.0 1/100 5", "proc/meminfo": "MemAvailable: 1000 kB\n"}


def test_a_broken_machine_gets_every_finding_and_no_error(tmp_path: Path) -> None:
    dead = Reply({}, "it crashes with SIGSEGV")
    tasks = replies(versions=dead, loading=dead, runtime=dead, targets=dead, node=dead)
    found = diagnose(system(tmp_path, flags=(), tasks=tasks))
    assert found.problem
    assert found.summary().startswith("3 problems")
    weak = diagnose(system(tmp_path / "weak", flags=("sse4_2",), cpus=1, files=POOR))
    findings = [*found.findings, *weak.findings]
    wrong = [each for each in findings if each.severity in ("warning", "problem")]
    assert len(wrong) > 6
    assert [each.text for each in wrong if not each.remedy] == []


def test_the_text_has_meaning_and_remedy_below_the_finding(tmp_path: Path) -> None:
    sound(tmp_path)
    lines = str(diagnose(system(tmp_path, environ={"CUDA_LAUNCH_BLOCKING": "1"}))).splitlines()
    at = lines.index("  warning  CUDA_LAUNCH_BLOCKING=1")
    assert lines[at - 1] == "environment"
    assert lines[at + 1].startswith("           every kernel is waited for")
    assert lines[at + 2] == "           -> unset CUDA_LAUNCH_BLOCKING"
