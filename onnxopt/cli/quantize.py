"""``onnxopt quantize``."""

from __future__ import annotations

from onnxopt.cli import quantize_options as options
from onnxopt.cli.outcome import check_page, tell
from onnxopt.errors import UsageError


def quantize(
    model: options.Model,
    output: options.Output,
    samples: options.Samples = None,
    scheme: options.Scheme = None,
    target: options.Target = "cpu",
    only: options.Only = None,
    skip: options.Skip = None,
    skip_pass: options.SkipPass = None,
    compare: options.Compare = True,
    measure: options.Measure = True,
    budget: options.Budget = 20.0,
    max_drop: options.MaxDrop = None,
    metric: options.Metric = None,
    check_portability: options.CheckPortability = False,
    sensitivity: options.EachLayer = False,
    external_data: options.ExternalData = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    html: options.Html = None,
) -> None:
    """Quantize a model: what keeps its outputs and is fastest here, or a scheme of your own."""
    from onnxopt._startup import import_onnx_ir

    import_onnx_ir()
    from onnxopt.cli.progress import bar
    from onnxopt.io import save
    from onnxopt.quantizer import Request, budget_of, run

    check_page(html)
    if max_drop is not None and output.resolve() == model.resolve():
        raise UsageError(
            "a search writes its best to the output while it reads the model: give another -o"
        )
    with bar("optimizing") as show:
        request = Request(
            target=target,
            scheme=scheme,
            samples=samples,
            only=tuple(only or ()),
            skip=tuple(skip or ()),
            skip_passes=tuple(skip_pass or ()),
            compare=compare,
            measure=measure,
            check_portability=check_portability,
            sensitivity=sensitivity,
            budget_s=budget,
            accuracy=budget_of(max_drop, metric),
            state=output.with_name(f"{output.name}.search"),
            keep=lambda best: save(best, output, external_data=external_data),
            seed=seed,
            progress=show,
        )
        quantized, report = run(model, request)
    save(quantized, output, external_data=external_data)
    tell(report, model, output, html, as_json=as_json)
