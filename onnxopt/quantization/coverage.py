"""The share of a model's multiply-adds that a target computes on integers: foretold, and seen."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import onnx_ir as ir

from onnxopt import graph
from onnxopt.kernels import IntegerKernels, Kernel, Requantized, Role

_COPY = re.compile(r"_token_\d+$|(/WithoutBiases)?(/DequantizationMultiply)?(_original)?$")
"""What ONNX Runtime, and what OpenVINO, puts behind the name of a node that takes another's
place, or behind that of a graph output."""


_DYNAMIC = ("DynamicQuantizeMatMul", "MatMulIntegerToFloat")
"""What ONNX Runtime makes of a product on integers and of what surrounds it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coverage:
    """Products with constant weights, by whether they compute on integers: names of nodes."""

    integer: frozenset[str]
    floating: frozenset[str]
    outputs: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)
    """The same nodes by the names of their outputs, which some runtimes know them by."""


class Counted(Protocol):
    """A node and its multiply-adds, a number where its shapes are known."""

    @property
    def node(self) -> ir.Node:
        """The node."""

    @property
    def macs(self) -> object:
        """Its multiply-adds."""


def share_of(rows: Iterable[Counted], kernels: IntegerKernels) -> float | None:
    """Return the share of the products' multiply-adds on integers; None where none are known."""
    pairs = [(row.macs, on_integers(row.node, kernels)) for row in rows]
    known = [(macs, on) for macs, on in pairs if on is not None and isinstance(macs, int)]
    total = sum(macs for macs, _ in known)
    return sum(macs for macs, on in known if on) / total if total else None


def foretold(model: ir.Model, kernels: IntegerKernels) -> Coverage:
    """Read off a QDQ model which products the target computes on integers.

    A product does where its data and its weight are dequantized, its bias, if it has one, is in
    integers, and its output is quantized where the kernel needs that; and one that is written on
    integers, with scales found in every run.
    """
    found: dict[bool, set[str]] = {True: set(), False: set()}
    outputs: dict[str, str] = {}
    for node in model.graph:
        integer = on_integers(node, kernels)
        if integer is not None:
            found[integer].add(node.name or "")
            outputs[node.outputs[0].name or ""] = node.name or ""
    return Coverage(
        integer=frozenset(found[True]), floating=frozenset(found[False]), outputs=outputs
    )


def on_integers(node: ir.Node, kernels: IntegerKernels) -> bool | None:
    """Foretell whether a target computes a node on integers; None where it is no such product."""
    fused = (node.domain, node.op_type) == ("com.microsoft", "MatMulIntegerToFloat")
    if fused or (node.op_type == "MatMulInteger" and not node.domain and kernels.dynamic):
        return True if graph.tensor(node.inputs[1]) is not None else None
    row = None if node.domain else kernels.rows.get(node.op_type)
    if row is None or row.role is not Role.PRODUCT or not _weighted(node):
        return None
    return _integer(node, row, kernels)


def seen(
    expected: Coverage, executed: Iterable[tuple[str, str]], becomes: frozenset[str]
) -> Coverage:
    """Return which of the products ran as integer kernels.

    ``executed`` are the names of the nodes that ran, and their operators with what ran them behind
    a space; ``becomes`` are the integer kernels, as rows name them.
    """
    names = {_COPY.sub("", name, 1) for name, kernel in executed if _one_of(kernel, becomes)}
    ran = names | {expected.outputs[name] for name in names if name in expected.outputs}
    products = expected.integer | expected.floating
    return Coverage(integer=products & ran, floating=products - ran)


def _one_of(kernel: str, patterns: frozenset[str]) -> bool:
    operator = kernel.partition(" ")[0]
    return operator in patterns or any(fnmatch.fnmatchcase(kernel, each) for each in patterns)


def integer_operators(kernels: IntegerKernels) -> frozenset[str]:
    """Return what the target calls its integer products."""
    rows = [row for row in kernels.rows.values() if row.role is Role.PRODUCT]
    dynamic = _DYNAMIC if kernels.dynamic else ()
    return frozenset((*dynamic, *(name for row in rows for name in row.becomes)))


def _weighted(node: ir.Node) -> bool:
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if weight is None:
        return False
    source = _dequantized(weight)
    maker = None if source is None else source.producer()
    if maker is not None and maker.op_type == "QuantizeLinear":  # as training with it leaves it
        source = maker.inputs[0]
    return graph.tensor(weight if source is None else source) is not None


def _dequantized(value: ir.Value | None) -> ir.Value | None:
    """Return what a value is dequantized from; None where it is not."""
    node = None if value is None else value.producer()
    return node.inputs[0] if node is not None and node.op_type == "DequantizeLinear" else None


def _integer(node: ir.Node, row: Kernel, kernels: IntegerKernels) -> bool:
    data, weight = map(_dequantized, node.inputs[:2])
    if data is None or weight is None or graph.tensor(data) is not None:
        return False
    kinds = [each.dtype for each in (data, weight) if each.dtype is not None]
    if any(kind.is_floating_point() for kind in kinds):  # of 8 bits
        return False
    always = row.requantized is Requantized.ALWAYS
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    inside = always or kernels.float_bias
    if bias is not None and not inside and _dequantized(bias) is None:
        return False
    if always or _joined(node, row) or taken_along(node.outputs[0], row):
        return all(_quantized(value, kernels) for value in node.outputs)
    return True


def taken_along(value: ir.Value, row: Kernel) -> bool:
    """Return whether a target takes what reads the output of a product for part of it."""
    after = [use.node for use in value.uses()]
    if not graph.sole_use(value) or after[0].op_type not in row.takes_along:
        return False
    return graph.sole_use(after[0].outputs[0])


def _joined(node: ir.Node, row: Kernel) -> bool:
    readers = [use.node for use in node.outputs[0].uses()]
    return len(readers) == 1 and readers[0].op_type in row.joins


def _quantized(value: ir.Value, kernels: IntegerKernels) -> bool:
    """Return whether all that reads a value, what is absorbed aside, is one quantization."""
    readers = list(_behind(value, kernels))
    return len(readers) == 1 and readers[0].op_type == "QuantizeLinear" and graph.sole_use(value)


def _behind(value: ir.Value, kernels: IntegerKernels) -> Iterator[ir.Node]:
    for use in value.uses():
        row = kernels.rows.get(use.node.op_type)
        if row is not None and row.role is Role.ABSORBED and graph.sole_use(value):
            yield from (after.node for after in use.node.outputs[0].uses())
        else:
            yield use.node
