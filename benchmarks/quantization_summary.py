"""What results/SUMMARY.md says of quantizing."""

from __future__ import annotations

from typing import Any

Lines = list[str]

SETTINGS = ("threads_1", "threads_2", "threads_1_batch_8", "threads_2_batch_8")
_OWN = ("given", "onnxopt")
"""Files that are no rivals."""
PEERS = ("static_best", "static_products", "static_default", "dynamic")


def quantization(said: dict[str, Any]) -> Lines:
    """Return metric and speed of the default beside ONNX Runtime's quantizers, a line a file."""
    lines = [
        "Times faster than the model given, at full optimization: one thread, two, batch 8 on one, "
        "on two. The metric of a trained model is the corpus'; of an export with random weights it "
        "is the signal over the error, in dB.",
        "",
        "| model | by | chosen | metric before | after | 1 thread | 2 | 1, batch 8 | 2, batch 8 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, rows in said["models"].items():
        for which in ("onnxopt", *PEERS):
            row = rows.get(which, {"error": "not made"})
            chosen = row.get("report", {}).get("chosen", "")
            before = rows["given"].get("metric", float("inf"))
            metrics = [_number(before), _number(row.get("metric"))]
            speeds = [_speed(row.get(setting)) for setting in SETTINGS]
            note = f"failed: {row['error'][:60]}" if "error" in row else chosen
            lines.append(f"| {' | '.join((name, which, note, *metrics, *speeds))} |")
    foretold = [
        (name, each["scheme"], each["confirmed"])
        for name, rows in said["models"].items()
        for each in rows.get("onnxopt", {}).get("report", {}).get("tried", ())
        if each["confirmed"] is not None
    ]
    agree = sum(confirmed for *_, confirmed in foretold)
    lines += ["", f"Integer kernels ran where they were foretold in {agree} of {len(foretold)}."]
    return lines


def pairs(said: dict[str, Any]) -> Lines:
    """Return the time of the default's file over each accurate file of ONNX Runtime's, in pairs."""
    lines = [
        "Time of the file of `onnxopt quantize` over that of each file of ONNX Runtime's tools "
        "that keeps its metric, side by side, with 95 % intervals: below 1 onnxopt's is faster. "
        "Bold is what is measurably faster than onnxopt's, twice.",
        "",
        "| model | metric | beside | its metric | 1 thread | 2 | 1, batch 8 | 2, batch 8 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in said["models"].items():
        metrics = found.get("metrics", {})
        settings = [found.get(setting, {}) for setting in SETTINGS]
        rivals = dict.fromkeys(w for each in settings for w in each if w != "error")
        for which in dict.fromkeys([*rivals, *(w for w in metrics if w not in _OWN)]):
            cells = [_pair(each.get(which)) for each in settings]
            ours, its = (_number(metrics.get(key)) for key in ("onnxopt", which))
            lines.append(f"| {name} | {ours} | {which} | {its} | {' | '.join(cells)} |")
    return lines


def _pair(found: dict[str, Any] | None) -> str:
    if found is None or "ratio" not in found:
        return "-"
    return f"**{_interval(found)}**" if found["behind"] else _interval(found)


def _interval(found: dict[str, float]) -> str:
    return f"{found['ratio']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def dynamic_layers(said: dict[str, Any]) -> Lines:
    """Return the time of layers in float and quantized dynamically over static ones."""
    lines = [
        f"{said['layers']} layers, rows by columns by columns: time over that of the same layers "
        "with scales from samples, with 95 % intervals.",
        "",
        "| layers | scales of every run | float |",
        "|---|---|---|",
    ]
    for name, found in said["over_static"].items():
        lines.append(f"| {name} | {_interval(found['dynamic'])} | {_interval(found['float'])} |")
    return lines


def openvino(said: dict[str, Any]) -> Lines:
    """Return metric and speed of every variant in OpenVINO, a line a model."""
    names = list(dict.fromkeys(which for rows in said["models"].values() for which in rows))
    lines = [
        "Metric, and times faster than the model given in ONNX Runtime, one thread.",
        "",
        f"| model | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for name, rows in said["models"].items():
        cells = [
            f"{_number(rows[which].get('metric'))}, {_number(rows[which].get('speed'), 2)}"
            if which in rows
            else "-"
            for which in names
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def few_bits(said: dict[str, Any]) -> Lines:
    """Return time, peak memory and size of a large model in few bits."""
    lines = ["| model | scheme | s | peak MB | file, share of float |", "|---|---|---|---|---|"]
    for name, rows in said["models"].items():
        copies = [f"{seconds:.1f}" for seconds in rows["given"]["copy_s"]]
        lines.append(f"| {name} | copied, before each | {', '.join(copies)} | - | 1 |")
        for scheme, row in rows.items():
            if scheme != "given" and "error" not in row:
                cells = (f"{row['seconds']:.1f}", f"{row['peak_mb']:.0f}", f"{row['share']:.4f}")
                lines.append(f"| {name} | {scheme} | {' | '.join(cells)} |")
    return lines


def recovery(said: dict[str, Any]) -> Lines:
    """Return metrics of narrow weights with and without each recovery pass."""
    lines = []
    for name, rows in said["models"].items():
        passes = list(next(row for form, row in rows.items() if form != "given"))
        lines += [
            f"{name}, {rows['given']['metric']:.4f} in float:",
            "",
            f"| weights | file, share of float | {' | '.join(passes)} |",
            f"|---|---|{'---|' * len(passes)}",
        ]
        for form, row in rows.items():
            if form == "given":
                continue
            share = next(iter(row.values()))["bytes"] / rows["given"]["bytes"]
            cells = [_number(row.get(which, {}).get("metric")) for which in passes]
            lines.append(f"| {form} | {share:.3f} | {' | '.join(cells)} |")
        lines.append("")
    return lines


def portability(said: dict[str, Any]) -> Lines:
    """Return metrics as files say, as this processor computes them, and as was foretold."""
    models = said["models"]
    limit = next(iter(models.values()))["limit"]
    lines = [
        "*exact*: with ONNX Runtime's optimizer off, as a processor with VNNI computes it; *here*: "
        f"on this processor. The last two are of {limit} samples: here, and as "
        "`--check-portability` foretells it without VNNI. *touched*: products whose outputs "
        "saturate. *signal*: over the noise of the outputs, here.",
        "",
        "| model | metric | float | weights | signal | exact | here | some | foretold | touched |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, rows in models.items():
        for weights, row in rows.items():
            if not isinstance(row, dict):
                continue
            keys = ("exact", "here", "here_of_first", "foretold_of_first")
            cells = [_number(value) for value in (rows["given"], *(row[key] for key in keys))]
            given, *rest = cells
            signal = f"{row['signal_db']:.1f} dB"
            shown = " | ".join([given, weights, signal, *rest, str(len(row["touched"]))])
            lines.append(f"| {name} | {rows['metric']} | {shown} |")
    return lines


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _speed(found: dict[str, float] | None) -> str:
    return "-" if found is None or "speed" not in found else f"{found['speed']:.2f}"
