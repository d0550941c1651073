"""The options of ``onnxopt quantize``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path, typer.Argument(help="The float model: ONNX as protobuf, text or JSON.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Where the result goes.")]
Samples = Annotated[
    Path | None, typer.Option(help="Real inputs: a folder or file of .npz, .npy, .pb.")
]
Target = Annotated[str, typer.Option(help="What it will run on; see 'onnxopt targets'.")]
Only = Annotated[
    list[str] | None,
    typer.Option(help="Quantize only what this names: a node, output or operator; wildcards."),
]
Skip = Annotated[
    list[str] | None, typer.Option(help="Leave what this names in float; may be given again.")
]
SkipPass = Annotated[
    list[str] | None,
    typer.Option("--skip-pass", help="Leave a pass out of what comes first; may be given again."),
]
Budget = Annotated[float, typer.Option(min=1.0, help="Seconds for measuring.")]
MaxDrop = Annotated[float | None, typer.Option(min=0.0, help="Of a metric: 0.005.")]
Metric = Annotated[str | None, typer.Option(help="For it: top1, agreement, noise, m:f, …")]
Seed = Annotated[int, typer.Option(help="For made-up samples.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
Scheme = Annotated[
    str | None,
    typer.Option(help="int8, int8-dynamic, int4-weights, …, or passes; by default what is best."),
]
Compare = Annotated[
    bool,
    typer.Option(help="Run the model and the result, to say what is lost; without, name a scheme."),
]
Measure = Annotated[bool, typer.Option(help="Measure latency here, and take what is fastest.")]
CheckPortability = Annotated[
    bool,
    typer.Option(
        "--check-portability", help="Compute what processors without VNNI make of the result."
    ),
]
EachLayer = Annotated[
    bool,
    typer.Option(
        "--sensitivity", help="Quantize each layer alone: what it costs, and the time it saves."
    ),
]
Html = Annotated[Path | None, typer.Option(help="Write the report as a page, too.")]
ExternalData = Annotated[
    bool | None, typer.Option(help="Store weights beside the model, or inside it.")
]
