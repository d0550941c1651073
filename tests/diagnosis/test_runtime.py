"""Providers that run, refuse, crash, lie; versions; CUDA."""

from __future__ import annotations

from pathlib import Path

from onnxopt.diagnosis import cuda, runtime
from onnxopt.diagnosis.child import Reply, ask
from tests.diagnosis.pretend import RIGHT, RUNTIME, VERSIONS, install, replies, system, told

GPU = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
CUDA_BUILD = Reply({**RUNTIME, "providers": GPU, "cuda": "13.0"})
DRIVER = {
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65  Release"
}


def test_providers_that_run_are_told_and_remote_ones_not_tried(tmp_path: Path) -> None:
    found = list(runtime.providers(system(tmp_path)))
    assert [(each.severity, each.text) for each in found] == [
        ("ok", "CPUExecutionProvider loads and runs nodes"),
        ("ok", "not used: it is not installed"),
    ]


def test_what_does_not_run_is_judged_by_what_it_is_for(tmp_path: Path) -> None:
    tasks = replies(runtime=CUDA_BUILD, node=Reply({}, "it crashes with SIGSEGV"))
    found = told(list(runtime.providers(system(tmp_path, files=DRIVER, tasks=tasks))))
    assert found == [
        ("note", "TensorrtExecutionProvider does not run a node: it crashes with SIGSEGV"),
        ("problem", "CUDAExecutionProvider does not run a node: it crashes with SIGSEGV"),
        ("problem", "CPUExecutionProvider does not run a node: it crashes with SIGSEGV"),
    ]


def test_cuda_without_a_gpu_is_no_problem(tmp_path: Path) -> None:
    tasks = replies(runtime=CUDA_BUILD) | {"node cuda": Reply({}, "no device")}
    found = told(list(runtime.providers(system(tmp_path, tasks=tasks))))
    assert found == [("warning", "CUDAExecutionProvider does not run a node: no device")]


def test_wrong_results_and_nodes_elsewhere_are_told(tmp_path: Path) -> None:
    wrong = replies(node=Reply({"off": 3.0, "elsewhere": []}))
    assert told(list(runtime.providers(system(tmp_path, tasks=wrong))))[0][0] == "problem"
    lost = replies(node=Reply({"off": 0.0, "elsewhere": ["CPUExecutionProvider"]}))
    assert told(list(runtime.providers(system(tmp_path, tasks=lost))))[0][0] == "warning"


def test_other_targets_are_tried_too(tmp_path: Path) -> None:
    tasks = replies(targets=Reply({"openvino": None, "cpu": None}))
    texts = [each.text for each in runtime.providers(system(tmp_path, tasks=tasks))]
    assert "openvino loads and runs nodes" in texts


def test_a_runtime_that_crashes_is_a_problem(tmp_path: Path) -> None:
    install(tmp_path, "onnxruntime-gpu", "1.31.1", {})
    tasks = replies(runtime=Reply({}, "it crashes with SIGILL"), targets=Reply({}, "it crashes"))
    (finding,) = runtime.providers(system(tmp_path, tasks=tasks))
    assert finding.severity == "problem"
    assert finding.text.endswith("it crashes with SIGILL")
    assert finding.remedy.endswith("onnxruntime-gpu==1.31.1")


def test_a_runtime_older_than_onnx_is_told(tmp_path: Path) -> None:
    install(tmp_path, "onnxruntime-gpu", "1.31.1", {})
    tasks = replies(versions=Reply({**VERSIONS, "opset": 28}))
    _, finding = runtime.versions(system(tmp_path, tasks=tasks))
    assert finding.severity == "note"
    assert "up to 26 and IR up to 13; onnx 1.20.0 writes up to 28 and 13" in finding.text
    assert finding.remedy == "pip install --upgrade onnxruntime-gpu"
    assert told(list(runtime.versions(system(tmp_path)))) == []


def test_libraries_that_cannot_be_imported_are_a_problem(tmp_path: Path) -> None:
    tasks = replies(versions=Reply({}, "No module named 'onnx'"))
    (finding,) = runtime.versions(system(tmp_path, tasks=tasks))
    assert finding.severity == "problem"


def test_a_broken_onnx_is_not_laid_on_the_runtime(tmp_path: Path) -> None:
    broken = Reply({}, "cannot import name 'defs' from 'onnx'")
    tasks = replies(versions=broken, runtime=broken, targets=broken, node=broken)
    (finding,) = runtime.providers(system(tmp_path, tasks=tasks))
    assert finding.severity == "note"
    assert finding.text.startswith("providers are not tried: without onnx")
    both = system(tmp_path, tasks={**tasks, "loading": Reply({}, "it crashes with SIGILL")})
    assert [each.severity for each in runtime.providers(both)] == ["problem", "note"]


def test_a_gpu_that_the_runtime_cannot_use_is_told(tmp_path: Path) -> None:
    install(tmp_path, "onnxruntime", "1.31.1", {})
    found = list(cuda.check(system(tmp_path, files=DRIVER)))
    assert [each.text for each in found[:1]] == ["NVIDIA driver 580.65"]
    assert found[1].remedy == 'pip uninstall -y onnxruntime && pip install "onnxopt[gpu]"'
    assert list(cuda.check(system(tmp_path / "none"))) == []


def test_libraries_of_another_cuda_are_told(tmp_path: Path) -> None:
    install(tmp_path, "nvidia-cuda-runtime-cu12", "12.8.90", {})
    install(tmp_path, "nvidia-cudnn-cu12", "9.10.2", {})
    files = {**DRIVER, "usr/local/cuda-13.0/lib64/libcublas.so.13": ""}
    seen = system(tmp_path, files=files, tasks=replies(runtime=CUDA_BUILD))
    found = list(cuda.check(seen))
    place = tmp_path / "usr/local/cuda-13.0/lib64/libcublas.so"
    assert [each.text for each in found[1:4]] == [
        "onnxruntime was built for CUDA 13.0",
        f"cuBLAS: {place} 13",
        "cuDNN: nvidia-cudnn-cu12 9.10.2",
    ]
    assert found[4].severity == "warning"
    assert "CUDA 13 (nvidia-cuda-runtime-cu12 12.8.90), cuFFT (not found)" in found[4].text
    needs = "Requires-Dist: nvidia-cudnn-cu12~=10.0; extra == 'cudnn'\n"
    install(tmp_path, "onnxruntime-gpu", "1.40.0", {}, needs)
    assert "cuDNN 10 (nvidia-cudnn-cu12 9.10.2)" in list(cuda.check(seen))[-1].text


def test_a_build_for_cuda_without_a_driver_is_told(tmp_path: Path) -> None:
    ((severity, text),) = told(
        list(cuda.check(system(tmp_path, tasks=replies(runtime=CUDA_BUILD))))
    )
    assert severity == "warning"
    assert text.endswith("there is no NVIDIA driver")


def test_the_runtime_really_loads_here() -> None:
    assert ask("loading").error is None


def test_a_node_really_runs_here() -> None:
    assert ask("node", "cpu") == Reply(RIGHT)


def test_a_task_that_fails_says_why() -> None:
    reply = ask("node", "provider{provider=CUDAExecutionProvider, options=[]}")
    assert reply.error
    assert "\n" not in reply.error


def test_a_task_that_is_not_there_ends_with_a_status() -> None:
    assert "it ends with status 1: KeyError" in (ask("nothing").error or "")
