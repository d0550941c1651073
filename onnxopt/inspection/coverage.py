"""How much of a model is quantized, and how: read off the graph, whatever a runtime makes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import onnx_ir as ir

from onnxopt import graph
from onnxopt.costs import NodeCost
from onnxopt.costs.table import TABLE
from onnxopt.inspection.operands import INTEGER, PACKED, Integer
from onnxopt.inspection.scales import Scheme, input_at, packed, weight_scheme
from onnxopt.ops import VIEWS, key

How = Literal["static", "static, float output", "dynamic", "weights only", "float"]
"""``static``: fixed scales on every input and output; ``dynamic``: scales of activations are
computed as it runs; ``weights only``: what they are multiplied with is not quantized."""

_MOVES = VIEWS | {("", "Transpose"), ("", "Cast")}
_CLAMPS = frozenset((("", "Relu"), ("", "Clip")))
_QUANTIZERS = frozenset(("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"))
_FAR = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Covered:
    """The nodes with multiply-accumulates that are quantized in one way."""

    how: How
    form: Literal["QDQ", "integer operators", ""]
    weights: Scheme | None
    """None where both factors are activations, or nothing is quantized."""
    activations: str
    """The type of the quantized activations, empty where they are not quantized."""
    nodes: int
    macs: int
    elements: int
    """Of their weights."""

    def __str__(self) -> str:
        if self.how == "float":
            return "not quantized"
        parts = [f"{self.how} {self.form}".strip()]
        parts += [f"{self.weights} weights"] if self.weights else []
        parts += [f"{self.activations} activations"] if self.activations else []
        return ", ".join(parts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coverage:
    """Nodes with multiply-accumulates by how they are quantized, and the nodes between Q and DQ."""

    schemes: tuple[Covered, ...]
    """Most MACs first."""
    quantizers: int
    """QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear nodes."""
    between: int
    """Other nodes, without multiply-accumulates, that work on integers or all of whose data come
    from DequantizeLinear and go to QuantizeLinear."""

    @property
    def quantized(self) -> tuple[Covered, ...]:
        """The rows that are quantized in any way."""
        return tuple(row for row in self.schemes if row.how != "float")


def coverage(rows: Sequence[NodeCost]) -> Coverage:
    """Classify the nodes of a model by what they are fed from and where their outputs go."""
    groups: dict[tuple[object, ...], Covered] = {}
    quantizers = between = 0
    for row in rows:
        node = row.node
        if node.op_type in _QUANTIZERS:
            quantizers += 1
        elif key(node) not in TABLE:
            continue  # nobody knows whether it has any
        elif row.macs == 0:
            between += _between(node)
        else:
            found = _classified(node, row.macs if isinstance(row.macs, int) else 0)
            group = (found.how, found.form, found.weights, found.activations)
            groups[group] = _added(groups.get(group), found)
    schemes = sorted(groups.values(), key=lambda covered: -covered.macs)
    return Coverage(schemes=tuple(schemes), quantizers=quantizers, between=between)


def _added(one: Covered | None, other: Covered) -> Covered:
    if one is None:
        return other
    return dataclasses.replace(
        one,
        nodes=one.nodes + other.nodes,
        macs=one.macs + other.macs,
        elements=one.elements + other.elements,
    )


def _classified(node: ir.Node, macs: int) -> Covered:
    row = INTEGER.get(key(node))
    if row is not None:
        return _integer(node, row, macs)
    data = [value for value in node.inputs[:2] if value is not None]
    sources = [_dequantizer(value) for value in data]
    fixed = [_constant(value, source) for value, source in zip(data, sources, strict=True)]
    elements = sum(_size(value) for value, is_fixed in zip(data, fixed, strict=True) if is_fixed)
    weights = next((s for s, is_fixed in zip(sources, fixed, strict=True) if s and is_fixed), None)
    scheme = None if weights is None else weight_scheme(weights)
    moving = [source for source, is_fixed in zip(sources, fixed, strict=True) if not is_fixed]
    weights_quantized = all(s for s, is_fixed in zip(sources, fixed, strict=True) if is_fixed)
    if moving and all(moving) and weights_quantized:
        kinds = [_activation(source) for source in moving if source is not None]
        dynamic = any(made == "DynamicQuantizeLinear" for made, _ in kinds)
        how: How = "static" if _all_quantized(node) else "static, float output"
        how = "dynamic" if dynamic else how
        return _covered(how, "QDQ", scheme, kinds[0][1], macs, elements)
    if scheme is not None:
        return _covered("weights only", "QDQ", scheme, "", macs, elements)
    return _covered("float", "", None, "", macs, elements)


def _covered(
    how: How,
    form: Literal["QDQ", "integer operators", ""],
    weights: Scheme | None,
    activations: str,
    macs: int,
    elements: int,
) -> Covered:
    return Covered(
        how=how,
        form=form,
        weights=weights,
        activations=activations,
        nodes=1,
        macs=macs,
        elements=elements,
    )


def _integer(node: ir.Node, row: Integer, macs: int) -> Covered:
    weight = input_at(node, row.weight)
    if key(node) in PACKED:
        elements = graph.attr_int(node, "N", 0) * graph.attr_int(node, "K", 0)
        return _covered("weights only", "integer operators", packed(node), "", macs, elements)
    scheme = weight_scheme(node, row.weight, row.scale, row.zero)
    constant = weight is not None and graph.tensor(_origin(weight)) is not None
    left = input_at(node, 0)
    type_ = "" if left is None or left.dtype is None else left.dtype.name.lower()
    how: How = "dynamic" if row.kind == "dynamic" else "static"
    if row.kind == "by input" and left is not None:
        maker = _origin(left).producer()
        on_the_fly = maker is not None and maker.op_type == "DynamicQuantizeLinear"
        how = "dynamic" if on_the_fly else "static, float output"
    if how == "dynamic":
        type_ = "uint8"  # the one type that is quantized to on the fly
    elements = _size(weight) if constant and weight is not None else 0
    return _covered(how, "integer operators", scheme if constant else None, type_, macs, elements)


def _origin(value: ir.Value) -> ir.Value:
    """Return what a value is another view of."""
    for _ in range(_FAR):
        maker = value.producer()
        if maker is None or key(maker) not in _MOVES or not maker.inputs:
            return value
        source = maker.inputs[0]
        if source is None:
            return value
        value = source
    return value


def _dequantizer(value: ir.Value) -> ir.Node | None:
    maker = _origin(value).producer()
    return maker if maker is not None and maker.op_type == "DequantizeLinear" else None


def _constant(value: ir.Value, dequantizer: ir.Node | None) -> bool:
    return _stored(value if dequantizer is None else dequantizer.inputs[0]) is not None


def _size(value: ir.Value) -> int:
    source = _dequantizer(value)
    held = _stored(value if source is None else source.inputs[0])
    return 0 if held is None else held.size


def _stored(value: ir.Value | None) -> ir.TensorProtocol | None:
    """Return the constant behind a value, be it quantized in the graph as after training."""
    if value is None:
        return None
    origin = _origin(value)
    maker = origin.producer()
    if maker is not None and maker.op_type == "QuantizeLinear" and maker.inputs[0] is not None:
        origin = _origin(maker.inputs[0])
    return graph.tensor(origin)


def _activation(dequantizer: ir.Node) -> tuple[str, str]:
    """Return the operator that quantizes an activation, and to which type."""
    source = dequantizer.inputs[0]
    maker = None if source is None else source.producer()
    type_ = "" if source is None or source.dtype is None else source.dtype.name.lower()
    if maker is not None and maker.op_type == "DynamicQuantizeLinear":
        return maker.op_type, "uint8"
    return ("" if maker is None else maker.op_type), type_ or _zero_type(dequantizer)


def _zero_type(dequantizer: ir.Node) -> str:
    zero = input_at(dequantizer, 2)
    return "" if zero is None or zero.dtype is None else zero.dtype.name.lower()


def _all_quantized(node: ir.Node) -> bool:
    return all(_goes_to_quantizer(value) for value in node.outputs if value.name)


def _goes_to_quantizer(value: ir.Value) -> bool:
    """Return whether every reader quantizes a value, perhaps after clamping it."""
    for _ in range(_FAR):
        readers = [use.node for use in value.uses()]
        if not readers or value.is_graph_output():
            return False
        if all(reader.op_type == "QuantizeLinear" for reader in readers):
            return True
        if len(readers) != 1 or key(readers[0]) not in _CLAMPS | VIEWS:
            return False
        value = readers[0].outputs[0]
    return False


def _between(node: ir.Node) -> bool:
    if node.op_type.startswith("QLinear"):
        return True
    data = list(_data(node.inputs))
    if not data or not all(_dequantizer(value) for value in data):
        return False
    return _all_quantized(node)


def _data(values: Iterable[ir.Value | None]) -> Iterator[ir.Value]:
    """Yield the inputs that are no constants (shapes, axes, bounds)."""
    for value in values:
        if value is not None and graph.tensor(value) is None:
            yield value
