"""The public functions that begin at a framework and end at a file that runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import onnx_ir as ir

from onnxopt import deployer, opening
from onnxopt import exporter as exporting
from onnxopt.deployer import DeployReport
from onnxopt.exporter import ExportReport
from onnxopt.exporter.notation import Axes
from onnxopt.samples import Given, samples_of

__all__ = ["deploy", "export", "export_with_report", "session"]

session = opening.session


def export(
    thing: object,
    inputs: Any = None,
    *,
    dynamic: Axes | Literal["none"] | None = None,
    outputs: Sequence[str] = (),
    exporter: str | None = None,
    opset: int | None = None,
    samples: Given = None,
    seed: int = 0,
) -> ir.Model:
    """Bring a model from its framework to ONNX, compared with what the framework computes.

    ``thing`` is a module, model or function of a framework, a file of one, an ONNX model or file,
    or text such as ``torch:package.module:build``, a function that returns the model.

    ``inputs`` are examples, arrays or tensors, by name or in the order of the call; or declarations
    as text, ``x=batch,3,224,224`` and ``ids:int64=batch,tokens``, for which examples are made up. A
    name stands for an axis that stays open; beside examples ``{"x": {0: "batch"}}`` as ``dynamic``
    says the same, and ``"none"`` that all sizes are fixed. ``outputs`` are names for the outputs.

    The exporters of the framework are tried in turn, and the first is taken whose file computes
    what the framework does: on the example, at other sizes of the open axes, and on the first few
    ``samples``. The result has no weight in memory that was not read: they are mapped from a file.

    Raises ModelError where no exporter writes the model right, with the reasons, and where a
    framework is not installed; UsageError for inputs that do not fit.
    """
    return export_with_report(
        thing,
        inputs,
        dynamic=dynamic,
        outputs=outputs,
        exporter=exporter,
        opset=opset,
        samples=samples,
        seed=seed,
    )[0]


def export_with_report(
    thing: object,
    inputs: Any = None,
    *,
    dynamic: Axes | Literal["none"] | None = None,
    outputs: Sequence[str] = (),
    exporter: str | None = None,
    opset: int | None = None,
    samples: Given = None,
    seed: int = 0,
) -> tuple[ir.Model, ExportReport]:
    """Do what ``export`` does and return the report too: what was tried, compared and mended."""
    request = exporting.Request(
        inputs=inputs,
        dynamic=dynamic,
        outputs=(outputs,) if isinstance(outputs, str) else tuple(outputs),
        exporter=exporter,
        opset=opset,
        samples=samples_of(samples),
        seed=seed,
    )
    return exporting.run(thing, request)


def deploy(
    thing: object,
    samples: Given = None,
    *,
    folder: Path | str,
    inputs: Any = None,
    dynamic: Axes | Literal["none"] | None = None,
    outputs: Sequence[str] = (),
    target: str = "cpu",
    quantize: bool = True,
    scheme: str | None = None,
    metrics: Sequence[str] = (),
    max_drop: float = 0.01,
    check_portability: bool = False,
    measure: bool = True,
    budget: float = 20.0,
    again: bool = False,
    skip_passes: Sequence[str] = (),
    seed: int = 0,
) -> DeployReport:
    """Bring a model to a file that is measured, compared and ready to run.

    ``thing``, ``inputs``, ``dynamic`` and ``outputs`` are those of ``export``. The model is
    exported, optimized and, where there are ``samples``, quantized, by a ``scheme`` or by the best
    of several. Each result is compared with the exported model on the samples and measured beside
    it, and the fastest that keeps the outputs is taken: the exported model itself where nothing
    gains. ``max_drop`` is how much of the first of the ``metrics`` quantization may cost, in its
    own unit; without names, those that suit the samples' labels. ``check_portability`` computes
    what processors without VNNI make of the quantized model. ``budget`` is in seconds for each
    measurement: in quantizing, of the candidates, of ways to open a session, of the file as it
    ships; five processes a model are started in any case.

    ``again`` measures anew what was measured in the folder before. ``skip_passes`` names passes to
    leave out.

    ``folder`` takes ``model.onnx``, ``report.json``, ``report.html`` (with the extra ``html``) and
    what lies between; stages that were done there from the same inputs are not done again.
    ``onnxopt.session(report.model)`` opens the file as it was found to run best.

    Raises what ``export``, ``optimize``, ``quantize``, ``compare`` and ``bench`` raise.
    """
    request = deployer.Request(
        folder=Path(folder),
        samples=samples_of(samples),
        inputs=inputs,
        dynamic=dynamic,
        outputs=(outputs,) if isinstance(outputs, str) else tuple(outputs),
        target=target,
        quantize=quantize,
        scheme=scheme,
        metrics=(metrics,) if isinstance(metrics, str) else tuple(metrics),
        max_drop=max_drop,
        check_portability=check_portability,
        measure=measure,
        budget_s=budget,
        again=again,
        skip_passes=tuple(skip_passes),
        seed=seed,
    )
    return deployer.run(thing, request)
