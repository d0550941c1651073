"""How far two models are from one another: errors, metrics, and where they part.

``Errors`` and ``Energy`` take pairs of arrays in, sample by sample, and keep sums; ``Scores`` takes
outputs and labels in and keeps three numbers a unit.
"""

from __future__ import annotations

from onnxopt.comparison.energy import Energy
from onnxopt.comparison.errors import Agreement, Errors, Worst, class_axis
from onnxopt.comparison.intervals import bootstrap, mcnemar, paired_shares, wilson
from onnxopt.comparison.metrics import Kind, Metric, agreement, fitting, perplexity, top
from onnxopt.comparison.named import metric_of, own
from onnxopt.comparison.scores import Change, Scores

__all__ = [
    "Agreement",
    "Change",
    "Energy",
    "Errors",
    "Kind",
    "Metric",
    "Scores",
    "Worst",
    "agreement",
    "bootstrap",
    "class_axis",
    "fitting",
    "mcnemar",
    "metric_of",
    "own",
    "paired_shares",
    "perplexity",
    "top",
    "wilson",
]
