"""The options of ``onnxopt bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnxopt.cli.amounts import seconds, share

Models = Annotated[list[Path], typer.Argument(help="Models; the first is the baseline.")]
Providers = Annotated[
    list[str] | None,
    typer.Option(
        help="A target, 'cpu{spinning=false}', or a provider of ONNX Runtime. Give it again to "
        "measure on both; one model is then compared with itself. [default: cpu]"
    ),
]
Threads = Annotated[
    list[int] | None,
    typer.Option(min=0, help="Threads; 0 is one per physical core. Repeatable. [default: 0]"),
]
Batches = Annotated[
    list[int] | None,
    typer.Option(min=1, help="Rows of a batch, for models that leave it open. Repeatable."),
]
Shapes = Annotated[
    list[str] | None,
    typer.Option(
        help="The shape of an input, x=1,3,224,224. Repeatable: other inputs join it, the same "
        "input again begins another set."
    ),
]
Streams = Annotated[
    list[int] | None,
    typer.Option(
        min=1, help="Callers of one session at once, for throughput. Repeatable. [default: 1]"
    ),
]
Samples = Annotated[
    Path | None,
    typer.Option(
        help="Feeds to run on: a folder or file of .npz, .npy, .pb. Without, they are made up."
    ),
]
Precision = Annotated[
    float,
    typer.Option(
        parser=share,
        metavar="SHARE",
        show_default=False,
        help="Stop once every ratio is known to within this, to either side. [default: 1%]",
    ),
]
Budget = Annotated[
    float,
    typer.Option(
        parser=seconds,
        metavar="TIME",
        show_default=False,
        help="Stop after this time, 60s or 2m; five processes a model start in any case. "
        "[default: 14s]",
    ),
]
Save = Annotated[
    Path | None, typer.Option(help="Keep the run in a file, to hold later ones to it.")
]
Html = Annotated[Path | None, typer.Option(help="Write a page with plots and tables.")]
Against = Annotated[
    Path | None,
    typer.Option(help="A kept run: exit status 1 if slower than it, 2 if none can tell, for CI."),
]
Force = Annotated[
    bool, typer.Option("--force", help="Give verdicts on a busy machine, or another one, too.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
Seed = Annotated[int, typer.Option(help="For made-up feeds and the order of runs.")]
