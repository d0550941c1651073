"""What x86 without VNNI makes of uint8 by int8: sums of two products that end at 16 bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnxopt import graph, shapes
from onnxopt.base import Load
from onnxopt.layers import matrices
from onnxopt.layers.readers import Layer
from onnxopt.quantization import pairs
from onnxopt.target import Feeds, Outputs, Session

_LOW, _HIGH = -(1 << 15), (1 << 15) - 1

_ZERO_POINTS = {"MatMulInteger": 3, "MatMulIntegerToFloat": 5}
"""The operators on integers, and which of their inputs is the zero point of the weights."""


def excess(columns: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return what saturation adds to ``columns @ weight``: [positions, outputs], int32.

    ``columns`` are uint8 [positions, k], ``weight`` int8 [k, outputs]. VPMADDUBSW multiplies the
    even ones and the odd ones, adds the two and keeps the sum within 16 bits; sums of those are
    exact. Only pairs whose largest inputs could reach beyond are looked at.
    """
    x = pairs.even(columns.astype(np.int32))
    w = pairs.even(weight.astype(np.int32).T).T
    a, b, u, v = x[:, ::2], x[:, 1::2], w[::2], w[1::2]
    tops = a.max(axis=0, initial=0)[:, None], b.max(axis=0, initial=0)[:, None]
    most = tops[0] * np.maximum(u, 0) + tops[1] * np.maximum(v, 0)
    least = tops[0] * np.minimum(u, 0) + tops[1] * np.minimum(v, 0)
    reach = (most > _HIGH) | (least < _LOW)
    found = np.zeros((len(x), w.shape[1]), np.int32)
    for pair in np.flatnonzero(reach.any(axis=1)):
        at = np.flatnonzero(reach[pair])
        sums = np.outer(a[:, pair], u[pair, at]) + np.outer(b[:, pair], v[pair, at])
        found[:, at] += np.clip(sums, _LOW, _HIGH) - sums
    return found


class _Product(NamedTuple):
    """An integer product of a quantized model."""

    layer: Layer
    integers: ir.Value
    """The uint8 data."""
    zero: int
    """Their zero point, with which a convolution is padded."""
    weight: np.ndarray
    scale: np.ndarray
    """Of a step of the product, for each output or for all: 1 where the output is int32."""

    def missing(self, data: np.ndarray) -> np.ndarray:
        """Return what saturation adds to the output, in its shape."""
        node = self.layer.node
        if node.op_type != "Conv":
            rows = data.reshape(-1, data.shape[-1])
            weight = self.weight.T if self.layer.axis == 0 else self.weight
            shape = (*data.shape[:-1], weight.shape[1])
            return np.asarray((excess(rows, weight) * self.scale).reshape(shape))
        centred = data.astype(np.int16) - self.zero
        where = matrices.every(self.layer, centred)
        columns = matrices.columns_at(self.layer, centred, where) + self.zero
        rows = matrices.as_matrix(self.layer, self.weight)
        parts = [
            excess(pairs.in_order(self.layer, part), pairs.in_order(self.layer, group).T)
            for part, group in zip(columns, rows, strict=True)
        ]
        flat = np.concatenate(parts, axis=1) * self.scale
        grid = tuple(int(size) + 1 for size in where.max(axis=1))
        return np.moveaxis(flat.reshape(*grid, -1), -1, 1)


class Saturating(Session):
    """A quantized model as x86 without VNNI computes it.

    What saturation adds to each product depends on that before it; the model is run with what was
    found for all, until that no longer changes: at most once for each product.
    """

    def __init__(self, model: ir.Model, open_: Load) -> None:
        made = model.clone()
        shapes.infer(made)
        products, names = _products(made), graph.Names(made)
        _shift(made, products, names)
        self._names = [value.name or "" for value in made.graph.outputs]
        self._products: dict[str, _Product] = {}
        self._data: list[str] = []
        for product in products:
            self._watch(made, product, names)
        self._session = open_(made)
        self.touched: dict[str, tuple[int, int]] = {}
        """How many numbers of each product's output saturation changed so far, of how many."""

    def _watch(self, model: ir.Model, product: _Product, names: graph.Names) -> None:
        """Return the product's data as well, and take in what is to be added to its output."""
        node, output = product.layer.node, product.layer.node.outputs[0]
        kind = output.dtype or ir.DataType.FLOAT
        given = ir.Value(name=names.fresh("saturation"), type=ir.TensorType(kind))
        model.graph.inputs.append(given)
        added = ir.Node("", "Add", [None, given], name=names.fresh(f"{output.name}_saturated"))
        added.outputs[0].name = added.name
        added.outputs[0].type, added.outputs[0].shape = output.type, output.shape
        model.graph.insert_after(node, added)
        graph.replace(output, added.outputs[0])
        if output.name is None:
            output.name = names.fresh(f"{added.name}_exact")
        added.replace_input_with(0, output)
        self._products[given.name or ""] = product
        if not product.integers.is_graph_output():
            model.graph.outputs.append(product.integers)
        self._data.append(product.integers.name or "")

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        """Run once; ``outputs`` names the ones wanted, all by default."""
        missing: dict[str, np.ndarray] = {
            name: np.zeros((), np.int32 if _is_integer(product) else np.float32)
            for name, product in self._products.items()
        }
        found: Outputs = {}
        for _ in range(len(missing) + 1):
            found = self._session.run({**feeds, **missing})
            new: dict[str, np.ndarray] = {
                name: product.missing(found[data]).astype(missing[name].dtype)
                for (name, product), data in zip(self._products.items(), self._data, strict=True)
            }
            same = all(_equal(new[name], missing[name]) for name in new)
            missing = new
            if same:
                break
        for name, array in missing.items():
            self._count(self._products[name], array)
        wanted = self._names if outputs is None else outputs
        return {name: found[name] for name in wanted}

    def _count(self, product: _Product, missing: np.ndarray) -> None:
        name = product.layer.node.name or product.layer.node.outputs[0].name or ""
        changed, of = self.touched.get(name, (0, 0))
        self.touched[name] = changed + int(np.count_nonzero(missing)), of + missing.size

    def close(self) -> None:
        """Free the session that computes the exact products."""
        self._session.close()


def _shift(model: ir.Model, products: Sequence[_Product], names: graph.Names) -> None:
    """Make the int8 weights of integer operators uint8 about 128, which no processor saturates.

    Else one without VNNI would saturate here what is to be computed exactly. Layers in QDQ form are
    computed in float.
    """
    moved: dict[ir.Value, ir.Value] = {}
    for product in products:
        node, weight = product.layer.node, product.layer.weight
        at = _ZERO_POINTS.get(node.op_type)
        given = None if at is None or len(node.inputs) <= at else node.inputs[at]
        centre = np.zeros((), np.int8) if given is None else graph.array(given)
        if at is None or centre is None:
            continue
        if weight not in moved:
            moved[weight] = _shifted(model, product.weight, names.fresh(f"{weight.name}_uint8"))
        node.resize_inputs(max(len(node.inputs), at + 1))
        node.replace_input_with(1, moved[weight])
        node.replace_input_with(at, _shifted(model, centre, names.fresh(f"{weight.name}_zero")))
    for weight in moved:
        if weight.is_initializer() and not graph.used(weight):
            del model.graph.initializers[weight.name or ""]


def _shifted(model: ir.Model, integers: np.ndarray, name: str) -> ir.Value:
    """Return int8 numbers as a weight of uint8 ones, 128 larger."""
    made = graph.constant(np.asarray(integers.astype(np.int16) + 128, np.uint8), name)
    model.graph.register_initializer(made)
    return made


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.array_equal(one, other)) or not (one.any() or other.any())


def _is_integer(product: _Product) -> bool:
    return product.layer.node.op_type == "MatMulInteger"


def _products(model: ir.Model) -> list[_Product]:
    """Return the products of uint8 by int8 in the main graph that are added two and two."""
    found = [_product(node) for node in model.graph]
    return [each for each in found if each is not None and pairs.paired(each.layer)]


def _product(node: ir.Node) -> _Product | None:
    fused = (node.domain, node.op_type) == ("com.microsoft", "MatMulIntegerToFloat")
    if not fused and (
        node.domain or node.op_type not in ("Conv", "Gemm", "MatMul", "MatMulInteger")
    ):
        return None
    axis = 0 if node.op_type == "Conv" or graph.attr_int(node, "transB", 0) else 1
    if node.op_type == "MatMulInteger":
        return _made(node, axis, node.inputs[0], node.inputs[1], np.ones(()), 0)
    if fused:
        x, w, *scales = node.inputs[:4]
        centre = node.inputs[4:5]
    else:
        data, weight = map(_dequantized, node.inputs[:2])
        if data is None or weight is None:
            return None
        x, w, scales = data.inputs[0], weight.inputs[0], [data.inputs[1], weight.inputs[1]]
        centre = data.inputs[2:3]
    steps = [graph.array(value) for value in scales]
    zero = graph.scalar(centre[0]) if centre else 0
    if steps[0] is None or steps[1] is None or steps[0].size != 1 or zero is None:
        return None
    return _made(node, axis, x, w, steps[1].reshape(-1) * steps[0].reshape(()), int(zero))


def _made(
    node: ir.Node,
    axis: int,
    data: ir.Value | None,
    weight: ir.Value | None,
    scale: np.ndarray,
    zero: int,
) -> _Product | None:
    held = graph.array(weight)
    if data is None or weight is None or held is None or data.producer() is None:
        return None
    if data.dtype != ir.DataType.UINT8:
        return None
    if held.dtype != np.int8 or (node.op_type != "Conv" and held.ndim != 2):
        return None
    layer = Layer(node=node, x=data, weight=weight, axis=axis)
    return _Product(layer, data, zero, held, np.asarray(scale))


def _dequantized(value: ir.Value | None) -> ir.Node | None:
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == "DequantizeLinear" else None
