"""``onnxopt prune``."""

from __future__ import annotations

from onnxopt.cli import prune_options as options
from onnxopt.cli.outcome import check_page, tell


def prune(
    model: options.Model,
    output: options.Output,
    macs: options.Macs = None,
    params: options.Params = None,
    size: options.Bytes = None,
    latency: options.Latency = None,
    samples: options.Samples = None,
    importance: options.Importance = "reconstruction",
    ratios: options.Ratios = "outputs",
    recover: options.Recover = "refit",
    only: options.Only = None,
    skip: options.Skip = None,
    multiple: options.Multiple = None,
    least: options.Least = 0.1,
    branches: options.Branches = None,
    steps: options.Steps = 1,
    target: options.Target = "cpu",
    metric: options.Metric = None,
    measure: options.Measure = True,
    budget: options.Budget = 20.0,
    external_data: options.ExternalData = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    html: options.Html = None,
) -> None:
    """Remove whole channels from a model, and refit the rest on samples without labels."""
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt.cli.progress import bar
    from onnxopt.io import save
    from onnxopt.pruner import Goal, Request, run

    check_page(html)
    goal = Goal.of_one(macs=macs, params=params, bytes=size, latency=latency)
    with bar("optimizing") as show:
        request = Request(
            goal=goal,
            target=target,
            samples=samples,
            importance=importance,
            ratios=ratios,
            recover=recover,
            only=tuple(only or ()),
            skip=tuple(skip or ()),
            multiple=multiple,
            least=least,
            branches=branches,
            steps=steps,
            metric=metric,
            measure=measure,
            budget_s=budget,
            seed=seed,
            progress=show,
        )
        pruned, report = run(model, request)
    save(pruned, output, external_data=external_data)
    tell(report, model, output, html, as_json=as_json)
