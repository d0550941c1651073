"""What a deployment says that is not of one stage alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from onnxopt import __version__, catalogue, graph, io
from onnxopt.deployer.report import Opening
from onnxopt.deployer.request import Request
from onnxopt.host import Host
from onnxopt.kernels import VNNI
from onnxopt.measure.run import CALM
from onnxopt.runtimes import opened_since

MEASURED = ("candidates", "ways to open", "as it ships")
"""Stages in which latency is measured, and nothing else is done."""
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "openvino")
UNSCORED = (
    "the samples have no labels (an array 'label' in the .npz of each), so the bound is on the "
    "error of the outputs: what that does to a task is not known here; --metric or labels tell"
)
"""A note where nothing was scored."""


def as_shipped(shipped: Sequence[Opening], first: str) -> str:
    """Say how fast the file is in the way it is opened; nothing where that is the default."""
    if not shipped:
        return ""
    last = shipped[-1]
    than = f" than the {first} one as it opens by default"
    told = last.outcome in ("faster", "slower")
    return f"; opened as it ships: {last.verdict}{than if told else ''}"


def opens(path: Path, target: str) -> list[str]:
    """Note from which release on ONNX Runtime opens a file, where that is known."""
    model = io.load(path)
    release = opened_since(graph.opset(model), model.ir_version)
    if not release or target == "openvino":
        return []
    text = f"operator set {graph.opset(model)}, IR {model.ir_version}"
    here = [each for name, each in Host.here().versions.items() if name.startswith("onnxruntime")]
    only = f"; here it was run by {here[0]} alone" if here else ""
    return [f"ONNX Runtime opens the file from {release} on ({text}){only}"]


def saturates(asked: Request, *, wide: bool) -> list[str]:
    """Note that integer products may saturate elsewhere, where that was not looked at."""
    kernels = catalogue.backend(asked.target).target().integer
    here = kernels is not None and kernels.name == "x86-vnni"
    if not wide or not here or asked.check_portability:
        return []
    known = ", ".join(flag for flag in Host.here().flags if flag in VNNI)
    return [
        f"this processor {f'has VNNI ({known})' if known else 'is taken to have VNNI'}; on x86 "
        "without it sums of products of 8 bits may saturate: deploy with --check-portability says "
        "what is lost there"
    ]


def at_stage(part: str, texts: Sequence[str]) -> list[str]:
    """Say of what measurement texts are."""
    return [f"{part}: {text}" for text in texts]


def undecided(texts: Sequence[str]) -> list[str]:
    """Warn of what was compared, and could be the fastest for all that is known."""
    if not texts:
        return []
    said = "; ".join(texts)
    return [
        f"undecided, so not deployed: {said}; --again measures anew, and onnxopt quantize --scheme "
        "makes it all the same"
    ]


def disturbed(share: float) -> list[str]:
    """Warn where other processes took a good part of the machine while something was measured."""
    if share <= CALM:
        return []
    return [
        f"other processes took up to {100 * share:.0f} % of the processors while latency was "
        "measured: which is faster stands, but the ratios are those of a machine as busy, and may "
        "be far from a quiet one's; --again there measures anew, and keeps the rest"
    ]


def over_budget(stages: Mapping[str, float | None], budget_s: float) -> list[str]:
    """Say which measurements took longer than they were to."""
    took = {name: s for name, s in stages.items() if name in MEASURED and s is not None}
    longer = [f"{name} {s:.0f} s" for name, s in took.items() if s > 1.1 * budget_s]
    if not longer:
        return []
    return [
        f"more than the {budget_s:g} s of --budget: {', '.join(longer)}; five processes a model "
        "are started in any case"
    ]


def host_text() -> str:
    """Return processor, cores and runtimes."""
    here = Host.here()
    runtimes = [f"{name} {here.versions[name]}" for name in _RUNTIMES if name in here.versions]
    return ", ".join([here.cpu, f"{here.cores} cores", f"onnxopt {__version__}", *runtimes])


def distinct(texts: Sequence[str]) -> tuple[str, ...]:
    """Leave out what another text says with more words."""
    return tuple(
        text
        for text in dict.fromkeys(texts)
        if not any(other != text and other.startswith(text) for other in texts)
    )
