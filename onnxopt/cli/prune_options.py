"""The options of ``onnxopt prune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnxopt.cli.amounts import share
from onnxopt.pruning import options

Model = Annotated[Path, typer.Argument(help="The float model: ONNX as protobuf, text or JSON.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Where the result goes.")]
Macs = Annotated[
    float | None,
    typer.Option(parser=share, metavar="SHARE", help="Multiply-adds to be left: 0.5 or 50%."),
]
Params = Annotated[
    float | None, typer.Option(parser=share, metavar="SHARE", help="Parameters to be left.")
]
Bytes = Annotated[
    float | None,
    typer.Option("--bytes", parser=share, metavar="SHARE", help="Bytes of weights to be left."),
]
Latency = Annotated[
    float | None,
    typer.Option(parser=share, metavar="SHARE", help="Latency to be left, as measured here."),
]
Samples = Annotated[
    Path | None, typer.Option(help="Real inputs: a folder or file of .npz, .npy, .pb.")
]
Importance = Annotated[
    options.Importance, typer.Option(help="By what channels are chosen that go.")
]
Ratios = Annotated[
    options.Ratios,
    typer.Option(
        help="How much of each group goes: what outputs or reading layers lose least by, what "
        "matters least of all groups together, or the same of each."
    ),
]
Recover = Annotated[options.Recover, typer.Option(help="What the rest does to make up for it.")]
Only = Annotated[
    list[str] | None,
    typer.Option(help="Prune only what this names: a node, weight or group; wildcards."),
]
Skip = Annotated[
    list[str] | None, typer.Option(help="Leave what this names whole; may be given again.")
]
Multiple = Annotated[
    int | None,
    typer.Option(min=1, help="Keep multiples of so many channels; for latency, of a block's."),
]
Least = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="The share of its channels each group keeps.")
]
Branches = Annotated[
    bool | None,
    typer.Option(
        "--branches/--no-branches",
        help="Let residual branches go as a whole; the default for latency.",
    ),
]
Steps = Annotated[int, typer.Option(min=1, help="Reach the share in so many steps.")]
Target = Annotated[
    str, typer.Option(help="What it will run on, as 'cpu{threads=1}'; see 'onnxopt targets'.")
]
Metric = Annotated[
    str | None,
    typer.Option(help="Reported on samples held back: top1, perplexity, m:f; what suits labels."),
]
Measure = Annotated[bool, typer.Option(help="Measure latency here, before and after.")]
Budget = Annotated[float, typer.Option(min=1.0, help="Seconds for measuring.")]
ExternalData = Annotated[
    bool | None, typer.Option(help="Store weights beside the model, or inside it.")
]
Seed = Annotated[int, typer.Option(help="For made-up samples and places looked at.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
Html = Annotated[Path | None, typer.Option(help="Write a page to this file too.")]
