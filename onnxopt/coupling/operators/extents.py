"""Shape: extents become numbers, which must not follow an axis that shrinks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from onnxopt.coupling.labels import Axes, Fixed
from onnxopt.coupling.place import Place, Row
from onnxopt.ops import key
from onnxopt.shapes.engine import Engine

_SELECT = frozenset(
    ("", name)
    for name in ("Cast", "Concat", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze",
                 "Unsqueeze")
)  # fmt: skip
"""Operators that pass elements of their first input on as they are."""
_SIZES = {
    ("", "ConstantOfShape"): (0,),
    ("", "Expand"): (1,),
    ("", "Reshape"): (1,),
    ("", "Resize"): (3,),
    ("", "Slice"): (1, 2),
    ("", "Split"): (1,),
}
"""Inputs that rows give new contents when an axis shrinks."""


def _shape(place: Place) -> Sequence[Axes | None]:
    """Known extents become constants before a cut; axes stay whose extents count in formulas."""
    axes = place.labelled(0)
    if any(not isinstance(axis, Fixed) for axis in axes or ()):
        node = _formula(place.node, place.state.engine)
        if node is not None:
            what = f"{node.op_type} '{node.name}' calculates with its extent"
            place.pin_all(axes or (), what)
    return [(Fixed("a shape"),)]


def _formula(node: ir.Node, engine: Engine) -> ir.Node | None:
    """Return a node that calculates with a number out of a shape, and whose result is not known."""
    pending, seen = list(node.outputs), set(node.outputs)
    while pending:
        value = pending.pop()
        for user, index in _users(value, engine):
            if index in _SIZES.get(key(user), ()):
                continue
            if key(user) not in _SELECT or (index and user.op_type != "Concat"):
                return user
            new = [out for out in user.outputs if out not in seen]
            seen.update(new)
            pending.extend(new)
    return None


def _users(value: ir.Value, engine: Engine) -> Iterator[tuple[ir.Node, int]]:
    """Yield who reads numbers that are not known all together."""
    content = engine.content(value)
    if content is not None and all(isinstance(item, int) for item in content):
        return
    if content is not None and not any(isinstance(item, int) for item in content):
        return
    yield from value.uses()


ROWS: dict[str, Row] = {"Shape": _shape}
