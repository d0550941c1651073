"""Figures of a comparison in words."""

from __future__ import annotations

import math

from onnxopt.comparison.errors import Worst
from onnxopt.comparison.layers import Layer, Parting
from onnxopt.comparison.metrics import Kind
from onnxopt.comparison.scores import Change

_ROWS = 40
"""Layers that are shown on a console."""

_COSTLY = 5
"""Layers that are named for the noise that comes in there."""


def decibels(value: float) -> str:
    """Return a ratio in dB, or what it means."""
    if math.isnan(value):
        return "-"
    return "equal" if value == math.inf else f"{value:.1f} dB"


def share_text(share: float) -> str:
    """Return a share in percent; 100 % only where it is all."""
    if share < 1 and f"{share:.2%}" == "100.00%":
        return "< 100 %"
    return f"{100 * share:.2f} %"


def points_text(share: float) -> str:
    """Return a difference of shares in points."""
    return f"{100 * share:.3g} point{'' if share == 0.01 else 's'}"


def examples_text(count: int) -> str:
    """Return how many examples were scored."""
    return f"{count:,} example{'s' if count != 1 else ''}"


def worst_text(worst: Worst | None) -> str:
    """Return the largest difference and where it is."""
    if worst is None:
        return "0"
    return f"{worst.value:.3g} at {list(worst.index)} of sample {worst.sample}"


def change_text(change: Change) -> str:
    """Say what became of a metric, and whether that is more than chance."""
    if change.kind is Kind.SHARE:
        before, after = share_text(change.before), share_text(change.after)
    else:
        before, after = f"{change.before:.5g}", f"{change.after:.5g}"
    if change.name == "agreement":
        interval = ""
        if change.change is not None:
            ends = (share_text(1 + end) for end in (change.change.low, change.change.high))
            interval = f" (95 %: {' to '.join(ends)})"
        return f"agreement: {after}{interval} of {change.units:,}"
    return f"{change.name}: {before} -> {after}, {_by(change)}; {judgement(change)}"


def _by(change: Change) -> str:
    """Say by how much, with the interval: in points where it is a share."""
    factor, unit = (100, " points") if change.kind is Kind.SHARE else (1, "")
    by = f"{factor * (change.after - change.before):+.3g}{unit}"
    if change.change is None:
        return by
    low, high = factor * change.change.low, factor * change.change.high
    return f"{by} (95 %: {low:+.3g} to {high:+.3g})"


def judgement(change: Change) -> str:
    """Say whether a change of a metric is more than chance."""
    on = f"on {examples_text(change.units)}"
    flips = f"{change.lost} lost, {change.won} won {on}" if change.chance is not None else on
    chance = "" if change.chance is None else f", McNemar p = {change.chance:.2g}"
    if math.isnan(change.after - change.before):
        return f"{on}: no number"
    if change.change is None:
        return f"{on}: too few to say whether that is chance"
    if change.before == change.after and not change.lost:
        return f"no change {on}"
    if change.within_noise:
        return f"within noise ({flips}{chance})"
    return f"{'worse' if change.drop > 0 else 'better'}, more than noise ({flips}{chance})"


def parting_lines(parting: Parting) -> list[str]:
    """Say where two models part, and where most noise comes in."""
    count = len(parting.layers)
    lines = [
        f"{count:,} tensors matched, of {parting.tensors[0]:,} and {parting.tensors[1]:,}; both "
        f"models as they are written, on {parting.samples} sample{'s' * (parting.samples != 1)}"
    ]
    doubtful = sum(layer.doubtful for layer in parting.layers)
    if doubtful:
        lines.append(
            f"{doubtful} of them, in brackets, are likely no pair: what is computed from them "
            "agrees far better"
        )
    first = parting.first
    if first is None:
        lines.append("they do not part: every matched tensor is equal up to rounding")
        return lines
    lines.append(f"they part at '{first.name}' ({first.operator}): {_fall(first)}")
    costly = [layer for layer in parting.costly if layer is not first][:_COSTLY]
    if costly:
        lines.append("most noise comes in at:")
        lines += [f"  '{layer.name}' ({layer.operator}): {_fall(layer)}" for layer in costly]
    return lines


def _fall(layer: Layer) -> str:
    return f"SQNR {ratio(layer)}, {_above(layer)}"


def _above(layer: Layer) -> str:
    if layer.above < math.inf:
        return f"of {layer.above:.1f} dB in what it reads"
    if layer.direct:
        return "what it reads is equal"
    return "equal as far up as tensors could be matched"


def ratio(layer: Layer) -> str:
    """Return a tensor's ratio in dB, or what is wrong with it."""
    told = "NaN or infinite" if math.isnan(layer.sqnr) else decibels(layer.sqnr)
    return f"({told})" if layer.doubtful else told


def unshown(parting: Parting) -> int:
    """Return how many tensors the console leaves out."""
    return len(parting.layers) - (len(layer_rows(parting)) - 1)


def layer_rows(parting: Parting) -> list[list[str]]:
    """Return tensors along the depth under a head: all, or those that tell most.

    Where there are many: those with most noise, and others evenly apart.
    """
    shown = parting.layers
    if len(shown) > _ROWS:
        kept = {id(layer) for layer in parting.costly[: _ROWS // 2]}
        step = math.ceil(len(shown) / (_ROWS // 2))
        kept |= {id(layer) for layer in (*shown[::step], shown[-1])}
        kept |= {id(parting.first)}
        shown = tuple(layer for layer in shown if id(layer) in kept)
    head = ["tensor", "operator", "node", "SQNR", "cosine"]
    return [head, *(layer_cells(layer) for layer in shown)]


def layer_cells(layer: Layer) -> list[str]:
    """Return one tensor as a row."""
    name = layer.name if layer.name == layer.other else f"{layer.name} / {layer.other}"
    cosine = "-" if math.isnan(layer.cosine) else f"{layer.cosine:.6f}"
    return [name, layer.operator, str(layer.place), ratio(layer), cosine]
