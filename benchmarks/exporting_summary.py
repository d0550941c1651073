"""What results/SUMMARY.md says of exporting and deploying."""

from __future__ import annotations

import collections
from typing import Any

Lines = list[str]


def exporting(said: dict[str, Any]) -> Lines:
    """Return how many exports of each kind compute what the framework does, and which do not."""
    found: dict[str, list[bool]] = collections.defaultdict(list)
    networks, refused = set(), []
    for name, each in said["exports"].items():
        network, exporter, axes = name.rsplit(".", 2)
        networks.add(network)
        found[f"{exporter}, axes {axes}"].append(each["ok"])
        if not each["ok"]:
            refused.append(f"- {name}: {each.get('refused')}")
    errors = [each["error"] for each in said["exports"].values() if each["ok"]]
    counts = [f"{kind} {sum(good)} of {len(good)}" for kind, good in found.items()]
    told = (
        f"{len(networks)} networks through `onnxopt.export`, equal to torch: {'; '.join(counts)}. "
        f"The worst error is {max(errors):.1e} of an element's scale."
    )
    return [told, "", *refused]


def deploying(said: dict[str, Any]) -> Lines:
    """Return what was deployed, a line a model."""
    lines = [
        "| model | deployed | latency over the exported | metric before | after | session | s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, each in said["models"].items():
        best = next(row for row in each["candidates"] if row["label"] == each["chosen"])
        ratio = best["ratio"]
        shown = "itself" if ratio is None else "{:.3f} ({:.3f} to {:.3f})".format(*ratio)
        score = each.get("score")
        metric = ("-", "-")
        if score is not None:
            metric = tuple(f"{score[key]:.4f}" for key in ("before", "after"))
        cells = (name, each["chosen"], shown, *metric, f"`{each['session']}`")
        lines.append(f"| {' | '.join(cells)} | {each['seconds']:.0f} |")
    return lines
