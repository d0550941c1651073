"""Attention in one operator: units are heads, or the queries' heads of one key together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from onnxopt.coupling.labels import Axes, Axis, Fixed
from onnxopt.coupling.place import UNKNOWN, Place, Row, Surgery, lost


def _attention(place: Place) -> Sequence[Axes | None]:
    """``[b, h, s, d]``, or ``[b, s, h d]`` with the numbers of heads as attributes."""
    sides = [place.labelled(index) for index in range(3)]
    if any(axes is None for axes in sides):
        return lost(place, *sides)
    q, k, v = (axes or () for axes in sides)
    four = len(q) == 4
    heads = place.extent(0, 1) if four else place.integer("q_num_heads", 0)
    pairs = place.extent(1, 1) if four else place.integer("kv_num_heads", 0)
    if not isinstance(heads, int) or not isinstance(pairs, int) or pairs < 1 or heads % pairs:
        return lost(place, q, k, v)
    units = place.fresh(pairs)
    asking = np.repeat(units, heads // pairs)
    if four:
        found = _of_four(place, q, k, v, (asking, units))
    else:
        found = _of_three(place, q, k, v, (asking, units))
    _mask(place, 3, asking)
    past = [_past(place, index, units) for index in (4, 5)]
    _others(place, 6)
    scores = (q[0], asking, UNKNOWN, UNKNOWN)
    return [found, *past, scores]


def _of_four(place: Place, q: Axes, k: Axes, v: Axes, heads: tuple[np.ndarray, np.ndarray]) -> Axes:
    place.meet(q[1], heads[0])
    place.meet(k[1], heads[1])
    place.meet(v[1], heads[1])
    why = f"{place.name} scales by its extent"
    _sequence(place, q[2], k[2], v[2], q[3], k[3], why=why)
    return (q[0], heads[0], Fixed("a sequence"), v[3])


def _of_three(
    place: Place, q: Axes, k: Axes, v: Axes, heads: tuple[np.ndarray, np.ndarray]
) -> Axes:
    parts = [
        _spread(place, index, axes, heads[min(index, 1)]) for index, axes in enumerate((q, k, v))
    ]
    width = place.extent(2, 2)
    result: Axis = Fixed(f"{place.name} has heads of unknown width")
    if isinstance(width, int) and not isinstance(parts[2], Fixed):
        result = np.repeat(heads[0], width // len(heads[1]))
    _sequence(place, q[1], k[1], v[1], why=f"{place.name} mixes its positions")
    place.later(partial(_fewer_heads, place, "q_num_heads", heads[0]), heads[0])
    place.later(partial(_fewer_heads, place, "kv_num_heads", heads[1]), heads[1])
    return (q[0], Fixed("a sequence"), result)


def _sequence(place: Place, *axes: Axis, why: str) -> None:
    place.pin_all(axes, why)


def _fewer_heads(place: Place, name: str, heads: Axis, surgery: Surgery) -> None:
    surgery.attribute(place.node, name, int(surgery.kept(heads).sum()))


def _mask(place: Place, index: int, heads: Axis) -> None:
    """A mask broadcasts to ``[b, h, s, t]``."""
    axes = place.labelled(index) if place.has(index) else ()
    if axes is None:
        place.pin(heads, f"{place.name} has a mask of unknown shape")
        return
    for back, axis in enumerate(reversed(axes)):
        if back == 2 and place.extent(index, -3) != 1:
            place.meet(axis, heads)
        elif back != 2:
            place.pin(axis, f"{place.name} adds it to scores")


def _past(place: Place, index: int, heads: Axis) -> Axes | None:
    """Keys or values of before are ``[b, h, t, d]``, and those with the new ones appended."""
    if not place.has(index):
        out = place.out(index - 3)
        return None if out is None else (UNKNOWN, heads, *[UNKNOWN] * (len(out) - 2))
    axes = place.labelled(index)
    if axes is None or len(axes) != 4:
        place.pin(heads, f"{place.name} has a cache of unknown shape")
        return None
    place.pin_all((axes[2], axes[3]), f"{place.name} appends to it")
    return (axes[0], place.meet(axes[1], heads), UNKNOWN, UNKNOWN)


def _others(place: Place, start: int) -> None:
    for index in range(start, len(place.node.inputs)):
        place.pin_all(place.labelled(index) or (), f"{place.name} reads lengths from it")


def _rotary(place: Place) -> Sequence[Axes | None]:
    """Heads pass, their numbers are mixed: ``[b, h, s, d]``, or ``[b, s, h d]``."""
    x, heads = place.labelled(0), place.integer("num_heads", 0)
    if x is None:
        return lost(place, x)
    _others(place, 1)
    if len(x) == 4:
        return [(*x[:3], place.pin(x[3], f"{place.name} rotates it"))]
    width = place.extent(0, 2)
    if heads < 1 or not isinstance(width, int):
        return lost(place, x)
    units = place.fresh(heads)
    labels = place.meet(x[2], np.repeat(units, width // heads))
    place.later(partial(_fewer_heads, place, "num_heads", units), units)
    return [(*x[:2], labels)]


def _multi_head(place: Place) -> Sequence[Axes | None]:
    """``[b, s, h d]`` three times, a bias ``[3 h d]``; caches ``[b, h, t, d]``."""
    heads = place.integer("num_heads", 0)
    sides = [place.labelled(index) for index in range(3)]
    if heads < 1 or any(axes is None or len(axes) != 3 for axes in sides):
        return lost(place, *sides, place.labelled(3))
    q, k, v = (axes or () for axes in sides)
    units = place.fresh(heads)
    parts = [_spread(place, index, axes, units) for index, axes in enumerate((q, k, v))]
    if place.has(3):
        if any(isinstance(part, Fixed) for part in parts):
            lost(place, q, k, v, place.labelled(3))
        place.bias(3, np.concatenate([part for part in parts if not isinstance(part, Fixed)]))
    place.later(partial(_fewer_heads, place, "num_heads", units), units)
    _mask(place, 5, units)
    past = [_cache(place, index, units) for index in (6, 7)]
    place.pin_all(place.labelled(4) or (), f"{place.name} reads lengths from it")
    _others(place, 8)
    _sequence(place, q[1], k[1], v[1], why=f"{place.name} mixes its positions")
    return [(q[0], Fixed("a sequence"), parts[2]), *past]


def _grouped_query(place: Place) -> Sequence[Axes | None]:
    """``[b, s, h d]`` and two ``[b, s, g d]``; caches ``[b, g, t, d]``: units are the g."""
    heads, pairs = place.integer("num_heads", 0), place.integer("kv_num_heads", 0)
    sides = [place.labelled(index) for index in range(3)]
    if pairs < 1 or heads % pairs or any(axes is None or len(axes) != 3 for axes in sides):
        return lost(place, *sides)
    q, k, v = (axes or () for axes in sides)
    units = place.fresh(pairs)
    asking = np.repeat(units, heads // pairs)
    result = _spread(place, 0, q, asking)
    for index, axes in ((1, k), (2, v)):
        _spread(place, index, axes, units)
    place.later(partial(_fewer_heads, place, "num_heads", asking), asking)
    place.later(partial(_fewer_heads, place, "kv_num_heads", units), units)
    past = [_cache(place, index, units) for index in (3, 4)]
    if place.has(10) or place.has(11):
        place.pin(units, f"{place.name} has a bias or a sink for each head")
    _others(place, 5)
    _sequence(place, q[1], k[1], v[1], why=f"{place.name} mixes its positions")
    return [(q[0], Fixed("a sequence"), result), *past]


def _spread(place: Place, index: int, axes: Axes, heads: np.ndarray) -> Axis:
    """Give each head its stretch of the last axis."""
    size = place.extent(index, 2)
    if not isinstance(size, int) or size % len(heads):
        place.pin(heads, f"{place.name} has heads of unknown width")
        return place.pin(axes[2], f"{place.name} has heads of unknown width")
    return place.meet(np.repeat(heads, size // len(heads)), axes[2])


def _cache(place: Place, index: int, heads: Axis) -> Axes | None:
    axes = place.labelled(index) if place.has(index) else ()
    if axes:
        place.meet(axes[1], heads)
        place.pin_all((axes[0], *axes[2:]), f"{place.name} appends to it")
    elif axes is None:
        place.pin(heads, f"{place.name} has a cache of unknown shape")
    return (UNKNOWN, heads, UNKNOWN, UNKNOWN)


ROWS: dict[str, Row] = {"Attention": _attention, "RotaryEmbedding": _rotary}
MICROSOFT: dict[str, Row] = {
    "GroupQueryAttention": _grouped_query,
    "MultiHeadAttention": _multi_head,
}
