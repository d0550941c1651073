"""What results/SUMMARY.md says of pruning."""

from __future__ import annotations

import statistics
from typing import Any

Lines = list[str]
EXACT, NEAR = 1e-4, 0.03


def pruning(said: dict[str, Any]) -> Lines:
    """Return what pruning leaves of metric, work and latency, a line a case."""
    lines = [
        "| case | metric before | after | decisions as before | multiply-adds left | times faster "
        "| s | peak MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, case in said["models"].items():
        draws = case["draws"]
        if any("error" in draw for draw in draws):
            lines.append(f"| {name} | fails: {draws[0].get('error', '')[:80]} | | | | | | |")
            continue
        speeds = [draw["latency"] for draw in draws if "speed" in draw.get("latency", {})]
        faster = "; ".join(f"{s['speed']:.2f} [{s['low']:.2f}, {s['high']:.2f}]" for s in speeds)
        cells = [
            _number(draws[0].get("original"), 4),
            _number(case.get("metric"), 4),
            _number(case.get("agreement"), 3),
            _number(case.get("macs_left"), 3),
            faster or "-",
            _number(case.get("seconds"), 0),
            f"{max(draw['peak_mb'] for draw in draws):.0f}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return ["Means of the draws of samples; one thread.", "", *lines]


def peers(said: dict[str, Any]) -> Lines:
    """Return what the peers' structured pruning leaves, a line a model and sparsity or share."""
    lines = ["| case | multiply-adds left | metric before | after | |", "|---|---|---|---|---|"]
    for name, each in said["models"].items():
        cells = [_number(each.get(key), 4) for key in ("macs_left", "original", "metric")]
        lines.append(f"| {name} | {' | '.join(cells)} | {each.get('error', '')[:120]} |")
    return lines


def composition(said: dict[str, Any]) -> Lines:
    """Return the gains of pruning, of quantizing and of both, a line a case."""
    found = {name: each for name, each in said["models"].items() if "error" not in each}
    lines = ["| case | pruned | int8 | both | both over the product | metrics |"]
    lines += ["|---|---|---|---|---|---|"]
    for name, each in found.items():
        scores = " / ".join(_number(value, 4) for value in each["metrics"].values())
        gains = " | ".join(f"{each[key]:.2f}" for key in ("pruned", "quantized", "both", "kept"))
        lines.append(f"| {name} | {gains} | {scores} |")
    kept = [each["kept"] for each in found.values()]
    told = (
        f"Times faster on one thread; in the median {statistics.median(kept):.2f} of the product."
    )
    return [told, "", "Metrics: given / pruned / int8 / both.", "", *lines]


def coverage(said: dict[str, Any]) -> Lines:
    """Return how many files lose planted zeros exactly and half of their work, and which do not."""
    found = {n: each for n, each in said["models"].items() if each.get("half", {}).get("macs") != 0}
    exact = [n for n, each in found.items() if each.get("exact", {}).get("error", 1) < EXACT]
    halves = {
        n: each["half"]["ratio"] for n, each in found.items() if "ratio" in each.get("half", {})
    }
    near = [n for n, ratio in halves.items() if abs(ratio / 0.5 - 1) <= NEAR]
    other = [f"{n} {ratio:.3f}" for n, ratio in halves.items() if n not in near]
    other += [f"{n} fails" for n in found if n not in halves]
    said_so = (
        f"{len(exact)} of {len(found)} files compute the same without planted zeros; "
        f"{len(near)} end within 3 % of half of their multiply-adds"
    )
    lines = [f"{said_so}, not {', '.join(other)}." if other else f"{said_so}."]
    pruned = {n: each["pruned"] for n, each in found.items() if "pruned" in each}
    if pruned:
        good = [n for n, one in pruned.items() if abs(one.get("ratio", 1) / 0.5 - 1) <= NEAR]
        rest = [
            f"{n} {one['ratio']:.3f}" if "ratio" in one else f"{n}: {one['error'][:90]}"
            for n, one in pruned.items()
            if n not in good
        ]
        told = f"`onnxopt.prune` leaves half, within 3 %, of {len(good)} of {len(pruned)}"
        lines += ["", f"{told}; {'; '.join(rest)}." if rest else f"{told}."]
    return lines


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
