"""Runtimes that overwrite each other, damaged files, extras."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxopt.diagnosis import extras, packages
from tests.diagnosis.pretend import install, system, told

CPU = {"onnxruntime/__init__.py": "cpu", "onnxruntime/capi/state.so": "cpu library"}
GPU = {"onnxruntime/__init__.py": "gpu", "onnxruntime/capi/state.so": "gpu library, larger"}


def test_one_runtime_is_sound(tmp_path: Path) -> None:
    install(tmp_path, "onnxruntime", "1.31.1", CPU)
    (finding,) = packages.check(system(tmp_path))
    assert finding.severity == "ok"
    assert finding.text == "onnxruntime 1.31.1, all files intact"


@pytest.mark.parametrize(("last", "intact"), [("onnxruntime", CPU), ("onnxruntime-gpu", GPU)])
def test_both_runtimes_are_a_problem(tmp_path: Path, last: str, intact: dict[str, str]) -> None:
    pairs = {"onnxruntime": CPU, "onnxruntime-gpu": GPU}
    for name in sorted(pairs, key=lambda name: name == last):
        install(tmp_path, name, "1.31.1", pairs[name])
    (finding,) = packages.check(system(tmp_path))
    assert finding.severity == "problem"
    assert finding.text.endswith(f"both installed: the files are those of {last}")
    assert finding.remedy == (
        'pip uninstall -y onnxruntime onnxruntime-gpu && pip install "onnxopt[gpu]"'
    )


def test_a_mixture_of_both_is_told(tmp_path: Path) -> None:
    install(tmp_path, "onnxruntime", "1.31.1", CPU)
    install(tmp_path, "onnxruntime-gpu", "1.30.0", GPU)
    (tmp_path / "site" / "onnxruntime" / "__init__.py").write_text("cpu")
    (finding,) = packages.check(system(tmp_path))
    assert "onnxruntime 1.31.1 and onnxruntime-gpu 1.30.0" in finding.text
    assert finding.text.endswith("the files are a mixture")


def test_what_removing_the_other_one_leaves_is_told(tmp_path: Path) -> None:
    install(tmp_path, "onnxruntime-gpu", "1.31.1", GPU)
    (tmp_path / "site" / "onnxruntime" / "capi" / "state.so").unlink()
    (tmp_path / "site" / "onnxruntime" / "__init__.py").write_text("cpu")
    (finding,) = packages.check(system(tmp_path))
    assert finding.severity == "problem"
    assert "1 files are missing and 1 are not those that were installed" in finding.text
    assert finding.remedy.endswith("--force-reinstall --no-deps onnxruntime-gpu==1.31.1")


def test_no_runtime_is_a_problem(tmp_path: Path) -> None:
    (finding,) = packages.check(system(tmp_path))
    assert finding.severity == "problem"
    assert 'pip install "onnxopt[cpu]"' in finding.remedy


def test_two_versions_of_a_package_are_told(tmp_path: Path) -> None:
    install(tmp_path, "onnxruntime", "1.31.1", CPU)
    install(tmp_path, "onnx", "1.19.0", {})
    install(tmp_path, "onnx", "1.20.0", {})
    ((severity, text),) = told(list(packages.check(system(tmp_path))))
    assert severity == "warning"
    assert text.startswith("onnx is there 2 times: 1.")


def test_a_folder_that_hides_a_package_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "onnxruntime", "1.31.1", CPU)
    (tmp_path / "work" / "onnx").mkdir(parents=True)
    (tmp_path / "work" / "onnx" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path / "work")
    assert told(list(packages.check(system(tmp_path)))) == [("warning", "this folder holds 'onnx'")]


def test_extras_are_read_from_what_is_installed(tmp_path: Path) -> None:
    requires = (
        "Requires-Dist: numpy>=1.26\n"
        'Requires-Dist: openvino>=2025.0; extra == "openvino"\n'
        'Requires-Dist: jinja2>=3.1; extra == "html"\n'
        'Requires-Dist: matplotlib>=3.9; extra == "html"\n'
        'Requires-Dist: onnxruntime-gpu[cuda,cudnn]>=1.22; extra == "gpu"\n'
        'Requires-Dist: pytest; extra == "dev"\n'
    )
    install(tmp_path, "onnxopt", "0.1.0", {}, requires)
    install(tmp_path, "numpy", "1.20.0", {})
    install(tmp_path, "Jinja2", "3.1.6", {})
    found = list(extras.check(system(tmp_path)))
    assert [(finding.severity, finding.text, finding.remedy) for finding in found] == [
        ("warning", "numpy 1.20.0 is not >=1.26", 'pip install "numpy>=1.26"'),
        ("ok", "openvino: openvino not installed", 'pip install "openvino>=2025.0"'),
        ("ok", "html: matplotlib not installed", 'pip install "matplotlib>=3.9"'),
    ]
