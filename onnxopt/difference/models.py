"""Compare two models: their heads, their main graphs, the graphs inside, and their functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from onnxopt.difference.changes import Comparer, accounted, alike, type_text
from onnxopt.difference.hunks import Hunk, hunks
from onnxopt.difference.match import Match, aligned, match
from onnxopt.difference.report import Difference, Notes
from onnxopt.difference.weights import weight_change
from onnxopt.graph import graphs, tensor
from onnxopt.io.hush import uncollected
from onnxopt.report import Size


def difference(
    one: ir.Model, other: ir.Model, names: tuple[str, str] = ("first", "second")
) -> Difference:
    """Compare two models; neither is changed, and large weights are read in pieces.

    Names of values and nodes, their order and the way constants are stored are no differences. Time
    is nearly linear in the number of nodes.
    """
    with uncollected():
        return _difference(one, other, names)


def _difference(one: ir.Model, other: ir.Model, names: tuple[str, str]) -> Difference:
    comparer = Comparer(one, other)
    found: list[Hunk] = []
    matches: list[Match] = []
    pending = [("", match(one.graph, other.graph, named=True))]
    returned: list[str] = []
    mine, theirs = dict(one.functions), dict(other.functions)
    for key in [key for key in mine if key in theirs]:
        where = f"function '{'::'.join(key[:2])}'"
        pending.append((where, match(mine[key].graph, theirs[key].graph)))
    while pending:
        where, matched = pending.pop(0)
        matches.append(matched)
        found += hunks(matched, comparer, where)
        returned += _returned(matched, where)
        pending += _inside(matched)
    return Difference(
        names=names,
        before=Size.of(one),
        after=Size.of(other),
        head=(*_head(one, other), *returned),
        hunks=tuple(found),
        same=sum(len(matched.nodes) for matched in matches) - sum(len(h.changed) for h in found),
        notes=_notes(matches, one, other),
    )


def _inside(found: Match) -> Iterator[tuple[str, Match]]:
    """Match the graphs inside nodes that are the same."""
    for one, other in found.pairs:
        for name, attribute in one.attributes.items():
            twin = other.attributes.get(name)
            if twin is None or attribute.is_ref() or twin.type != attribute.type:
                continue
            where = f"{name} of {one.op_type} '{one.outputs[0].name if one.outputs else ''}'"
            if attribute.type == ir.AttributeType.GRAPH:
                yield where, match(attribute.as_graph(), twin.as_graph(), found.values)
            elif attribute.type == ir.AttributeType.GRAPHS:
                for mine, theirs in zip(attribute.as_graphs(), twin.as_graphs(), strict=False):
                    yield where, match(mine, theirs, found.values)


def _returned(found: Match, where: str) -> Iterator[str]:
    """Say which outputs are another value than they were, where no other change accounts for it."""
    place = f" of {where}" if where else ""
    for at, (mine, theirs) in enumerate(found.outputs):
        held, holds = found.first.constant(mine), found.second.constant(theirs)
        if held is not None and holds is not None:
            change = weight_change(held, holds)
            if change is not None:
                yield f"output {at}{place}, the constant '{theirs.name}': {change}"
        elif found.values.get(id(mine)) is not theirs and not accounted(found, mine, theirs):
            yield f"output {at}{place} is {_made(theirs)}, and was {_made(mine)}"
    sizes = len(found.first.graph.outputs), len(found.second.graph.outputs)
    if where and sizes[0] != sizes[1]:
        yield f"outputs{place}: {sizes[0]} -> {sizes[1]}"


def _made(value: ir.Value) -> str:
    maker = value.producer()
    return f"'{value.name}'" + (f" of {maker.op_type}" if maker is not None else ", an input")


def _head(one: ir.Model, other: ir.Model) -> Iterator[str]:
    """Say what differs outside the nodes."""
    for way, mine, theirs in (
        ("input", one.graph.inputs, other.graph.inputs),
        ("output", one.graph.outputs, other.graph.outputs),
    ):
        yield from _signature(way, _fed(mine), _fed(theirs))
    yield from _defaults(one.graph.inputs, other.graph.inputs)
    for domain in sorted({*one.opset_imports, *other.opset_imports}):
        versions = (model.opset_imports.get(domain) for model in (one, other))
        yield from _was(f"operator set {domain or 'ai.onnx'}", *versions)
    yield from _was("IR version", one.ir_version, other.ir_version)
    for what in ("producer_name", "producer_version", "domain", "model_version", "doc_string"):
        told = (getattr(model, what) or None for model in (one, other))
        yield from _was(what.replace("_", " "), *told)
    yield from _was("name of the graph", one.graph.name, other.graph.name)
    for name in sorted({*one.metadata_props, *other.metadata_props}):
        held = (model.metadata_props.get(name) for model in (one, other))
        yield from _was(f"metadata '{name}'", *held)
    for key in one.functions.keys() ^ other.functions.keys():
        verb = "removed" if key in one.functions else "added"
        yield f"function '{'::'.join(key[:2])}' {verb}"


def _fed(values: Sequence[ir.Value]) -> list[ir.Value]:
    return [value for value in values if not value.is_initializer()]


def _defaults(mine: Sequence[ir.Value], theirs: Sequence[ir.Value]) -> Iterator[str]:
    """Say what became of weights that are inputs too, which callers may override."""
    before, after = (
        {value.name: value.const_value for value in values if value.is_initializer()}
        for values in (mine, theirs)
    )
    for name in sorted(before.keys() | after.keys(), key=str):
        held, holds = before.get(name), after.get(name)
        if held is None or holds is None:
            yield f"default of input '{name}' {'added' if held is None else 'removed'}"
        elif (change := weight_change(held, holds)) is not None:
            yield f"default of input '{name}': {change}"


def _was(what: str, before: object, after: object) -> Iterator[str]:
    if before != after:
        shown = [f"{each:.60}" if isinstance(each, str) else each for each in (before, after)]
        if before is None or after is None:
            yield f"{what}: {'added' if before is None else 'removed'}, {shown[before is None]}"
        else:
            yield f"{what}: {shown[0]} -> {shown[1]}"


def _signature(way: str, mine: list[ir.Value], theirs: list[ir.Value]) -> Iterator[str]:
    pairs = aligned(mine, theirs)
    known = {id(value) for pair in pairs for value in pair}
    for was, now in pairs:
        if was.name != now.name:
            yield f"{way} '{was.name}' is called '{now.name}'"
        if type_text(was) != type_text(now):
            yield f"{way} '{now.name}': {type_text(was)} -> {type_text(now)}"
    for verb, values in (("removed", mine), ("added", theirs)):
        for value in values:
            if id(value) not in known:
                yield f"{way} '{value.name}' {verb}, {type_text(value)}"
    before, after = ([value.name for value in values] for values in (mine, theirs))
    if before != after and sorted(map(str, before)) == sorted(map(str, after)):
        yield f"{way}s stand in another order"


def _notes(matches: list[Match], one: ir.Model, other: ir.Model) -> Notes:
    """Count what is no difference, and still good to know."""
    pairs = [pair for found in matches for pair in found.pairs]
    values = [
        each for mine, theirs in pairs for each in zip(mine.outputs, theirs.outputs, strict=False)
    ]
    orders = [[found.second.order[id(theirs)] for _, theirs in found.pairs] for found in matches]
    return Notes(
        renamed=sum(bool(a.name and b.name) and a.name != b.name for a, b in values),
        reordered=any(order != sorted(order) for order in orders),
        annotated=sum(alike(a, b) and type_text(a) != type_text(b) for a, b in values),
        constants=(_constant_nodes(one), _constant_nodes(other)),
    )


def _constant_nodes(model: ir.Model) -> int:
    nodes = (node for graph in graphs(model) for node in graph if node.op_type == "Constant")
    return sum(tensor(node.outputs[0]) is not None for node in nodes)
