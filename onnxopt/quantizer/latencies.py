"""How fast everything that was tried is, beside the model given."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import onnx_ir as ir

from onnxopt import io
from onnxopt.measure import Effort, bench
from onnxopt.measure.records import Variant
from onnxopt.measure.report import Row
from onnxopt.target import Backend, Feeds


class Latencies(NamedTuple):
    """What was measured, by name."""

    rows: Mapping[str, Row]
    warnings: Sequence[str]


def latencies(
    given: ir.Model | Path,
    models: Mapping[str, ir.Model],
    backends: Mapping[str, Backend],
    *,
    feeds: Sequence[Feeds],
    budget_s: float,
    seed: int,
    default: Backend,
    progress: Callable[[float, str], None],
) -> Latencies:
    """Measure models, each on its backend, against the one given, which runs on the default."""
    with tempfile.TemporaryDirectory(prefix="onnxopt-") as folder:
        first = given if isinstance(given, Path) else Path(folder) / "given.onnx"
        if not isinstance(given, Path):
            io.save(given, first)
        variants = [Variant(label="given", model=first, backend=default)]
        for at, (name, model) in enumerate(models.items()):
            path = Path(folder) / f"{at}.onnx"
            io.save(model, path)
            variants.append(Variant(label=name, model=path, backend=backends[name]))
        found = bench(
            variants,
            feeds=feeds,
            effort=Effort(budget_s=budget_s),
            seed=seed,
            progress=progress,
        )
    return Latencies({row.label: row for row in found.rows if row.label in models}, found.warnings)
