"""Put right what exporters are known to leave wrong in a file that computes the right numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from onnxopt import catalogue, graph
from onnxopt.base import Context
from onnxopt.exporter.notation import sizes_of
from onnxopt.framework import Declared, RefusedError
from onnxopt.pipeline import Pipeline
from onnxopt.render import bytes_text
from onnxopt.report import Size
from onnxopt.target import Feeds, Outputs

_PREFIX = "wrapped."
_TRACES = re.compile(r"pkg\.(torch|onnxscript|jax|jax2onnx)\b.*|namespace")
_TIDY = "share-initializers, dce"


def mend(model: ir.Model, signature: Sequence[Declared], outputs: Sequence[str]) -> list[str]:
    """Change a model that was just exported in place; return what was put right.

    Inputs get their declared names, order and axes, those that the exporter dropped as unused come
    back; outputs get the names given. Weights that are stored twice are stored once, and records of
    the exporting program's source, paths included, go. Raises RefusedError where inputs or outputs
    cannot be matched with the model's own.
    """
    told = [
        *_spelled_out(model),
        *_inputs(model, signature),
        *_outputs(model, outputs),
        *_weight_names(model),
        *_traces(model),
        *_duplicates(model),
    ]
    _axes(model, signature)
    return told


def _spelled_out(model: ir.Model) -> list[str]:
    """Replace ``Erfc(x)``, which ONNX does not have and tf2onnx writes, by ``1 - Erf(x)``."""
    found = [node for home in graph.graphs(model) for node in home if node.op_type == "Erfc"]
    names = graph.Names(model)
    for node in found:
        x, old = node.inputs[0], node.outputs[0]
        one = ir.node("Constant", [], {"value_float": 1.0})
        like = ir.node("CastLike", [one.outputs[0], x])
        erf = ir.node("Erf", [x])
        made = ir.node("Sub", [like.outputs[0], erf.outputs[0]])
        for value in (one.outputs[0], like.outputs[0], erf.outputs[0], made.outputs[0]):
            value.name = names.fresh("erfc")
        if node.graph is not None:
            node.graph.insert_before(node, [one, like, erf, made])
            graph.replace(old, made.outputs[0])
            node.graph.remove(node, safe=True)
    count = f"{len(found)} Erfc, an operator that ONNX does not have,"
    return [f"{count} written as 1 - Erf"] if found else []


def _inputs(model: ir.Model, signature: Sequence[Declared]) -> list[str]:
    """Match inputs by name, or by place where the exporter named them itself."""
    held = [value for value in model.graph.inputs if not value.is_initializer()]
    wanted = [each.name for each in signature]
    found: dict[str, ir.Value] = {value.name or "": value for value in held}
    if not found.keys() <= set(wanted):
        if len(held) != len(wanted):
            raise RefusedError(
                f"the export has inputs {', '.join(found)}, declared are {', '.join(wanted)}"
            )
        found = dict(zip(wanted, held, strict=True))
    told = []
    renamed = [name for name, value in found.items() if value.name != name]
    if renamed:
        told.append(f"inputs renamed to {', '.join(renamed)}, as they are declared")
        _rename(model, [(found[name], name) for name in renamed])
    for each in signature:
        if each.name not in found:
            found[each.name] = ir.Value(name=each.name, type=ir.TensorType(each.dtype))
            told.append(f"input '{each.name}' put back: the exporter drops what is not used")
    kept = [value for value in model.graph.inputs if value.is_initializer()]
    model.graph.inputs[:] = [*(found[name] for name in wanted), *kept]
    return told


def _rename(model: ir.Model, pairs: Sequence[tuple[ir.Value, str]]) -> None:
    """Rename values; whoever holds one of the names already moves aside."""
    names = graph.Names(model)
    mine = {id(value) for value, _ in pairs}
    wanted = {name for _, name in pairs}
    holders = [*model.graph.inputs, *model.graph.initializers.values()]
    holders += [value for node in model.graph for value in node.outputs]
    for value in holders:
        if value.name in wanted and id(value) not in mine:
            value.name = names.fresh(value.name or "value")
    for value, _ in pairs:
        value.name = names.fresh("renamed")
    for value, name in pairs:
        value.name = name


def _outputs(model: ir.Model, names: Sequence[str]) -> list[str]:
    held = list(model.graph.outputs)
    if len(held) != len(names):
        raise RefusedError(
            f"the export has {len(held)} outputs, the framework {len(names)}: {', '.join(names)}"
        )
    renamed = []
    for at, name in enumerate(names):
        value = model.graph.outputs[at]
        twice = any(other is value for other in model.graph.outputs[:at])
        if value.is_graph_input() or value.is_initializer() or twice:
            copy = ir.node("Identity", [value])
            copy.outputs[0].type, copy.outputs[0].shape = value.type, value.shape
            copy.outputs[0].name = graph.Names(model).fresh("copied")
            model.graph.append(copy)
            model.graph.outputs[at] = copy.outputs[0]
        if model.graph.outputs[at].name != name:
            renamed.append((model.graph.outputs[at], name))
    _rename(model, renamed)
    return [f"outputs renamed to {', '.join(name for _, name in renamed)}"] if renamed else []


def _weight_names(model: ir.Model) -> list[str]:
    """Take off the prefix that the module has inside its wrapping; no news to the user."""
    taken = set(model.graph.initializers)
    for name in list(model.graph.initializers):
        short = name.removeprefix(_PREFIX)
        if short != name and short not in taken:
            model.graph.initializers[name].name = short
            taken.add(short)
    return []


def _traces(model: ir.Model) -> list[str]:
    count = 0
    holders: list[ir.Node | ir.Value] = []
    for home in graph.graphs(model):
        for node in home:
            holders += [node, *node.outputs]
            node.doc_string = None
        holders += [*home.inputs, *home.initializers.values()]
    for holder in holders:
        for key in [key for key in holder.metadata_props if _TRACES.fullmatch(key)]:
            del holder.metadata_props[key]
            count += 1
    for key in [key for key in model.graph.metadata_props if _TRACES.fullmatch(key)]:
        del model.graph.metadata_props[key]
    return [f"{count} records of the exporting program's source removed"] if count else []


def _duplicates(model: ir.Model) -> list[str]:
    before = Size.of(model)
    Pipeline.parse(_TIDY).run(model, Context(target=catalogue.find_backend("cpu").target()))
    saved = before.weight_bytes - Size.of(model).weight_bytes
    if saved < _WORTH:
        return []
    return [f"{bytes_text(saved)} of weights were stored twice or not used: stored once"]


_WORTH = 1024
"""Bytes; fewer are scalars that every exporter repeats."""


def _axes(model: ir.Model, signature: Sequence[Declared]) -> None:
    """Write the declared axes on inputs, and their names wherever outputs have the same."""
    named: dict[str, str] = {}
    for each, value in zip(signature, model.graph.inputs, strict=False):
        for dim, old in zip(each.dims, graph.dims(value) or (), strict=False):
            if isinstance(dim, str) and isinstance(old, str):
                named.setdefault(old, dim)
        value.type = ir.TensorType(each.dtype)
        value.shape = ir.Shape(list(each.dims))
    for value in model.graph.outputs:
        found = graph.dims(value)
        if found is not None and value.shape is not None:
            value.shape = ir.Shape([_named(dim, named) for dim in found])


def opened(
    model: ir.Model, signature: Sequence[Declared], runs: Sequence[tuple[Feeds, Outputs]]
) -> list[str]:
    """Open the axes of outputs that are written with one size and take others; return which.

    ``runs`` are feeds with what the framework computes from them.
    """
    sizes = [sizes_of(signature, feeds) for feeds, _ in runs]
    told = []
    for value in model.graph.outputs:
        known = graph.dims(value)
        shapes = [found[value.name or ""].shape for _, found in runs if value.name in found]
        if known is None or len(shapes) < len(runs) or any(len(s) != len(known) for s in shapes):
            continue
        dims = list(known)
        for axis, dim in enumerate(known):
            seen = [shape[axis] for shape in shapes]
            if isinstance(dim, int) and len(set(seen)) > 1:
                names = (n for n in sizes[0] if [each.get(n) for each in sizes] == seen)
                dims[axis] = next(names, f"{value.name}_{axis}")
                told.append(f"axis {axis} of output '{value.name}' was written as {dim}: opened")
        value.shape = ir.Shape(dims)
    return told


def _named(dim: int | str | None, named: Mapping[str, str]) -> int | str | None:
    return named.get(dim, dim) if isinstance(dim, str) else dim
