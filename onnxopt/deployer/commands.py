"""The commands that repeat a deployment, step by step."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from onnxopt.deployer.request import Request
from onnxopt.exporter import ExportReport
from onnxopt.samples import Samples

_UNNAMED = "the samples came from Python: add --samples and their folder to the commands below"


class Made(NamedTuple):
    """How a model was quantized."""

    scheme: str
    """What makes it again; nothing where only trying all does."""
    settled: bool
    """Whether that is passes that leave no choice, so that nothing is to be compared."""
    bounded: bool
    """Whether it was held to a drop of a metric."""


class Commands:
    """Commands of a shell in the order of the stages, each with the samples and the seed it had."""

    def __init__(self, samples: Path | Samples | None, seed: int) -> None:
        self.more: list[object] = ["--samples", samples] if isinstance(samples, Path) else []
        """What every command ends with."""
        self.notes = [_UNNAMED] if isinstance(samples, Samples) else []
        self.more += ["--seed", seed] if seed else []
        self.lines: list[str] = []

    def compare(
        self,
        files: tuple[Path, Path],
        metrics: Sequence[str],
        limits: Mapping[str, float],
        targets: Sequence[str],
        *,
        held_back: bool,
        optimization: str,
    ) -> None:
        """Keep the command that holds one file against another, on these ``targets``."""
        words: list[object] = list(files)
        for metric in metrics:
            words += ["--metric", metric]
        for name, value in limits.items():
            words += [f"--{name.replace('_', '-')}", f"{value:g}"]
        first, second = targets
        words += ["--provider", first] if first != "cpu" else []
        words += ["--against-provider", second] if second != first else []
        words += ["--optimization", optimization] if optimization != "off" else []
        self.add("compare", *words, *(["--held-back"] if held_back else []))

    def bench(self, files: Sequence[Path], targets: Sequence[str], budget_s: float) -> None:
        """Keep the command that measures files on these targets."""
        words: list[object] = list(files)
        for text in targets if list(targets) != ["cpu"] else ():
            words += ["--provider", text]
        self.add("bench", *words, "--budget", f"{budget_s:g}s")

    def quantize(self, source: Path, path: Path, asked: Request, found: Made) -> None:
        """Keep the command that quantizes a file as it was ``found`` best."""
        words: list[object] = ["--scheme", found.scheme] if found.scheme else []
        words += [word for name in asked.skip_passes for word in ("--skip-pass", name)]
        if found.settled:
            words += ["--no-compare", "--no-measure"]
        else:
            words += ["--max-drop", asked.max_drop] if found.bounded else []
            words += ["--metric", asked.metrics[0]] if found.bounded and asked.metrics else []
            words += ["--check-portability"] if asked.check_portability else []
            words += ["--budget", f"{asked.budget_s:g}"] if asked.measure else ["--no-measure"]
        self.add("quantize", source, "-o", path, *words, "--target", asked.target)

    def add(self, command: str, *words: object) -> None:
        """Keep a command of onnxopt."""
        self.lines.append(shlex.join(map(str, ("onnxopt", command, *words, *self.more))))


def deploy_command(thing: object, asked: Request) -> str:
    """Return what deploys a model again; nothing where only Python can say all of it."""
    inputs = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs or ()
    written = isinstance(inputs, tuple | list) and all(isinstance(each, str) for each in inputs)
    python = isinstance(asked.samples, Samples) or asked.dynamic is not None or asked.outputs
    if not isinstance(thing, str | Path) or not written or python or asked.budget_s < 1:
        return ""
    usual = Request(folder=asked.folder)
    words: list[object] = ["onnxopt", "deploy", thing, "-o", asked.folder]
    words += ["--samples", asked.samples] if asked.samples is not None else []
    words += [word for text in inputs for word in ("--input", text)]
    words += [word for name in asked.metrics for word in ("--metric", name)]
    words += [word for name in asked.skip_passes for word in ("--skip-pass", name)]
    for name in ("target", "scheme", "max_drop", "budget_s", "seed"):
        value = getattr(asked, name)
        if value != getattr(usual, name):
            words += [f"--{name.removesuffix('_s').replace('_', '-')}", value]
    words += ["--no-quantize"] if not asked.quantize else []
    words += ["--check-portability"] if asked.check_portability else []
    words += ["--no-measure"] if not asked.measure else []
    return shlex.join(map(str, words))


def export_command(
    thing: object,
    report: ExportReport,
    path: Path,
    names: Sequence[str],
    more: Sequence[object],
) -> str:
    """Return what exports a model again: on the command line where it is named by text."""
    if not isinstance(thing, str | Path):
        return f'onnxopt.save(onnxopt.export({report.source}, …), "{path}")  # from Python'
    given = [word for text in report.inputs for word in ("--input", text)]
    given += [word for name in names for word in ("--name", name)]
    words = ["onnxopt", "export", report.source, *given, "-o", path, *more]
    return shlex.join(map(str, words))
