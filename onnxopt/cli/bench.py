"""``onnxopt bench``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from onnxopt.bench import BenchReport, Effort, Variant
    from onnxopt.target import Backend, Feeds


def bench(
    models: Annotated[list[Path], typer.Argument(help="Models; the first is the baseline.")],
    provider: Annotated[
        str, typer.Option(help="A target ('onnxopt targets') or a provider of ONNX Runtime.")
    ] = "cpu",
    threads: Annotated[
        int, typer.Option(min=0, help="Threads of a run; 0 is one per physical core.")
    ] = 0,
    samples: Annotated[
        Path | None, typer.Option(help="Feeds to run on: a folder or file of .npz, .npy, .pb.")
    ] = None,
    budget: Annotated[float, typer.Option(min=1.0, help="Seconds to measure for.")] = 14.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    seed: Annotated[int, typer.Option(help="For the random feeds and the order of runs.")] = 0,
) -> None:
    """Measure latency, with intervals: the first model against the others."""
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt.bench import Effort, Variant
    from onnxopt.errors import ModelError

    missing = next((path for path in models if not path.is_file()), None)
    if missing is not None:
        raise ModelError(f"{missing}: no such file; check the path of the model")
    backend = _backend(provider, threads)
    labels = _labels(models)
    variants = [
        Variant(label=label, model=path, backend=backend)
        for label, path in zip(labels, models, strict=True)
    ]
    feeds = None if samples is None else _feeds(samples, models[0])
    report = _measure(variants, feeds, Effort(budget_s=budget), seed)
    if as_json:
        typer.echo(report.to_json())
    else:
        from onnxopt.render import Paper

        report.render(Paper(sys.stdout))
    if any(row.error is not None for row in report.rows):
        raise typer.Exit(1)


def _backend(name: str, threads: int) -> Backend:
    """Make the target of this name, or take the name for a provider of ONNX Runtime."""
    from onnxopt.catalogue import find_backend, targets
    from onnxopt.errors import BackendError

    own = name in targets()
    kind: Any = find_backend(name if own else "provider")
    why = kind.unavailable()
    if why is not None:
        raise BackendError(why)
    options = {"threads": threads} if threads else {}
    backend: Backend = kind(**options) if own else kind(provider=name, **options)
    return backend


def _labels(models: list[Path]) -> list[str]:
    """Return the shortest ends of the paths that tell them apart."""
    depth = max(len(path.parts) for path in models)
    for parts in range(1, depth + 1):
        labels = [str(Path(*path.parts[-parts:])) for path in models]
        if len(set(labels)) == len(models):
            return labels
    return [f"{path.name} ({number})" for number, path in enumerate(models, 1)]


def _feeds(samples: Path, model: Path) -> list[Feeds]:
    from onnxopt.bench import MAX_FEEDS
    from onnxopt.io import load
    from onnxopt.samples import Samples

    inputs = [v for v in load(model).graph.inputs if not v.is_initializer()]
    return list(Samples.from_path(samples, inputs).first(MAX_FEEDS))


def _measure(
    variants: list[Variant], feeds: list[Feeds] | None, effort: Effort, seed: int
) -> BenchReport:
    """Measure with a progress bar where a person watches."""
    from onnxopt.bench import bench

    if not sys.stderr.isatty():
        return bench(variants, feeds=feeds, effort=effort, seed=seed)
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=1.0)

        def show(share: float, text: str) -> None:
            bar.update(task, completed=share, description=text)

        return bench(variants, feeds=feeds, effort=effort, seed=seed, progress=show)
