"""How many bytes a node moves: by default every input read once and every output written once.

Rows are the exceptions: operators that only look at a tensor in another way, or read a part of it.
What a cache keeps between two nodes is not considered, nor what a runtime fuses.
"""

from __future__ import annotations

from types import MappingProxyType

from onnxopt.costs.place import Carrier, Place, Traffic, bytes_of
from onnxopt.shapes.extent import Extent, over_up, times, total


def whole(place: Place) -> Traffic:
    """Every input is read once, however often it is named, and every output is written once."""
    values = dict.fromkeys(value for value in place.node.inputs if value is not None)
    facts = dict(zip(place.node.inputs, place.inputs, strict=True))
    read = total(bytes_of(fact) for value in values if (fact := facts[value]) is not None)
    return Traffic(read, _written(place))


def _written(place: Place) -> Extent:
    named = zip(place.node.outputs, place.outputs, strict=True)
    return total(bytes_of(fact) for value, fact in named if value.name != "")


def _view(place: Place) -> Traffic:
    """Nothing moves: the same bytes under another shape, or a shape alone."""
    return Traffic(0, 0)


def _made(place: Place) -> Traffic:
    """Written, from next to nothing."""
    return Traffic(0, _written(place))


def _picked(place: Place) -> Traffic:
    """Of the first input only what comes out is read; of the others everything."""
    others = [fact for fact in place.inputs[1:] if fact is not None]
    written = _written(place)
    return Traffic(total([written, *map(bytes_of, others)]), written)


def _picked_packed(place: Place) -> Traffic:
    """Of the packed table only what comes out is read, in its few bits; then the indices."""
    packed = over_up(times(place.made(), place.integer("bits", 4)), 8)
    return Traffic(total([packed, bytes_of(place.fact(1))]), _written(place))


def _embedded(place: Place) -> Traffic:
    """Ids, and a row for each from up to three tables."""
    tables = 3 if place.has(4) else 2
    rows = times(bytes_of(place.outputs[0]), tables)
    ids = total(bytes_of(place.fact(index)) for index in (0, 1) if place.has(index))
    return Traffic(total([rows, ids]), _written(place))


_VIEWS = """
BitCast Constant Dropout Flatten Identity If Loop Optional OptionalGetElement OptionalHasElement
Reshape Scan SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength
SequenceMap Shape Size Squeeze Unsqueeze
"""
"""What the bodies of If, Loop, Scan and SequenceMap move is counted with their nodes."""

_MAKERS = """
BlackmanWindow ConstantOfShape EyeLike HammingWindow HannWindow MelWeightMatrix RandomNormal
RandomNormalLike RandomUniform RandomUniformLike Range
"""

_PICKERS = "Compress Gather GatherElements GatherND Slice"

_ROWS: dict[str, Carrier] = {
    **dict.fromkeys(_VIEWS.split(), _view),
    **dict.fromkeys(_MAKERS.split(), _made),
    **dict.fromkeys(_PICKERS.split(), _picked),
}

TRAFFIC: MappingProxyType[tuple[str, str], Carrier] = MappingProxyType(
    {("", name): row for name, row in _ROWS.items()}
    | {
        ("com.microsoft", "ExpandDims"): _view,
        ("com.microsoft", "GatherBlockQuantized"): _picked_packed,
        ("com.microsoft", "EmbedLayerNormalization"): _embedded,
    }
)
"""The exceptions, by domain and name."""
