"""The commands that repeat a deployment, step by step."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from onnxopt.exporter import ExportReport
from onnxopt.samples import Samples

_UNNAMED = "the samples came from Python: add --samples and their folder to the commands below"


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
        self.add("compare", *words, *(["--held-back"] if held_back else []))

    def bench(self, files: Sequence[Path], targets: Sequence[str], budget_s: float) -> None:
        """Keep the command that measures files on these targets."""
        words: list[object] = list(files)
        for text in targets if list(targets) != ["cpu"] else ():
            words += ["--provider", text]
        self.add("bench", *words, "--budget", f"{budget_s:g}s")

    def add(self, command: str, *words: object) -> None:
        """Keep a command of onnxopt."""
        self.lines.append(shlex.join(map(str, ("onnxopt", command, *words, *self.more))))


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
