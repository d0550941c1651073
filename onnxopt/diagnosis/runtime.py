"""What the runtime loads, and which providers really run a node."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from onnxopt.diagnosis.child import Reply
from onnxopt.diagnosis.finding import Finding, Severity
from onnxopt.diagnosis.packages import installed_runtimes, reinstall
from onnxopt.diagnosis.system import System

_DRIVER = "nvidia-smi   # in a container: start it with --gpus all"
_REMOTE = {"AzureExecutionProvider"}
"""Providers that call a server and run no node here."""

_TARGETS = {"CPUExecutionProvider": "cpu", "CUDAExecutionProvider": "cuda"}
"""The targets that stand for a provider; others go by the provider's name."""

_SEVERITIES: dict[str, Severity] = {
    "CPUExecutionProvider": "problem",
    "CUDAExecutionProvider": "problem",
    "TensorrtExecutionProvider": "note",
    "NvTensorRTRTXExecutionProvider": "note",
}
"""How bad it is that a provider does not run; others are worth a warning."""

_MEANINGS = {
    "CUDAExecutionProvider": "models run on the CPU, without a word from the runtime",
    "TensorrtExecutionProvider": "its own libraries are missing: nothing else needs them",
}
_REMEDIES = {
    "CUDAExecutionProvider": 'pip install "onnxruntime-gpu[cuda,cudnn]"',
    "TensorrtExecutionProvider": "pip install tensorrt",
}


def versions(system: System) -> Iterator[Finding]:
    """Look at the libraries that everything stands on, and what the runtime loads of them."""
    reply = system.ask("versions")
    if reply.error is not None:
        yield Finding(
            topic="versions",
            severity="problem",
            text=f"onnx, onnx-ir and numpy cannot be imported: {reply.error}",
            meaning="no model can be read",
            remedy="pip install --force-reinstall numpy onnx onnx-ir",
        )
        return
    made = reply.result
    told = ", ".join(f"{name} {made[name]}" for name in ("onnx", "onnx-ir", "numpy"))
    yield Finding(topic="versions", severity="ok", text=told)
    runtime = system.ask("runtime")
    if runtime.error is not None or not runtime.result.get("opset"):
        return
    loads = runtime.result
    text = (
        f"onnxruntime {loads['version']} loads operator sets up to {loads['opset']} and "
        f"IR up to {loads['ir']}; onnx {made['onnx']} writes up to {made['opset']} and {made['ir']}"
    )
    newer = made["opset"] > loads["opset"] or made["ir"] > (loads["ir"] or made["ir"])
    yield Finding(
        topic="versions",
        severity="note" if newer else "ok",
        text=text,
        meaning="models exported at onnx's newest versions do not load here" if newer else "",
        remedy=f"pip install --upgrade {' '.join(installed_runtimes(system))}" if newer else "",
    )


def providers(system: System) -> Iterator[Finding]:
    """Run two nodes on every provider there is, each in a process of its own."""
    modelless = system.ask("versions").error is not None
    runtime = system.ask("loading" if modelless else "runtime")
    if runtime.error is not None:
        yield Finding(
            topic="providers",
            severity="problem",
            text=f"onnxruntime cannot be loaded: {runtime.error}",
            meaning="nothing can be run, measured or verified on ONNX Runtime",
            remedy=reinstall(system),
        )
    if modelless:
        yield Finding(
            topic="providers",
            severity="note",
            text="providers are not tried: without onnx, onnx-ir and numpy no model can be made",
            remedy="pip install --force-reinstall numpy onnx onnx-ir",
        )
        return
    available = runtime.result.get("providers", [])
    there = [name for name in available if name not in _REMOTE]
    tried = {name: _TARGETS.get(name, f"provider{{provider={name}}}") for name in there}
    others = _others(system)
    tried |= {name: name for name, why in others.items() if why is None}
    with ThreadPoolExecutor(4) as pool:
        replies = pool.map(lambda target: system.ask("node", target), tried.values())
        for name, reply in zip(tried, replies, strict=True):
            yield _judged(name, reply, system)
    for why in others.values():
        if why is not None:
            yield Finding(topic="providers", severity="ok", text=f"not used: {why}")


def _others(system: System) -> dict[str, str | None]:
    """Return the targets that are no providers of ONNX Runtime, each with why it cannot be used."""
    covered = {*_TARGETS.values(), "provider"}
    found = system.ask("targets").result
    return {name: why for name, why in found.items() if name not in covered}


def _judged(name: str, reply: Reply, system: System) -> Finding:
    if reply.error is not None:
        idle = name == "CUDAExecutionProvider" and system.nvidia() is False
        return Finding(
            topic="providers",
            severity="warning" if idle else _SEVERITIES.get(name, "warning"),
            text=f"{name} does not run a node: {reply.error}",
            meaning=_MEANINGS.get(name, "models that ask for it fail or run elsewhere"),
            remedy=_DRIVER if idle else _REMEDIES.get(name, reinstall(system)),
        )
    if reply.result["off"]:
        return Finding(
            topic="providers",
            severity="problem",
            text=f"{name} computes 2 by 2 matrices wrong, by {reply.result['off']:g}",
            meaning="nothing that it returns can be relied on",
            remedy=reinstall(system),
        )
    if reply.result["elsewhere"]:
        return Finding(
            topic="providers",
            severity="warning",
            text=f"{name} starts, but the nodes run on {', '.join(reply.result['elsewhere'])}",
            meaning="it has no kernel even for a matrix product",
            remedy=reinstall(system),
        )
    return Finding(topic="providers", severity="ok", text=f"{name} loads and runs nodes")
