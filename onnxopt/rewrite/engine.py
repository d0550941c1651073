"""Applies rules to every graph of a model until none applies: cost linear in the graph."""

from __future__ import annotations

import dataclasses
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, NoReturn

import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context, Pass
from onnxopt.errors import OnnxoptError, UsageError
from onnxopt.rewrite.builder import Builder
from onnxopt.rewrite.glance import Maker, fed, makers, possible
from onnxopt.rewrite.match import match
from onnxopt.rewrite.outputs import undeclared
from onnxopt.rewrite.pattern import Output
from onnxopt.rewrite.rule import Decline, Match, Rule
from onnxopt.spec import nearest

_PATIENCE = 50
"""Rewrites a node of a graph after which a set of rules counts as one that never comes to rest."""

_MALFORMED = (ArithmeticError, IndexError, TypeError, ValueError)
"""What a rule may run into at a node that breaks its operator's definition."""

_log = logging.getLogger(__name__)


class NamedRule:
    """A rule under the name that reports and quarantine know it by."""

    def __init__(self, name: str, rule: Rule) -> None:
        self.name = name
        self.rule = rule

    @property
    def file(self) -> str:
        """The name of the file that defines it."""
        return self.name.partition(":")[0]


class RulePass(Pass):
    """Apply a set of rules."""

    rules: ClassVar[tuple[NamedRule, ...]] = ()

    skip: tuple[str, ...] = ()
    """Names of rules, or of files of rules, that are left out."""

    def __post_init__(self) -> None:
        known = {part for named in self.rules for part in (named.name, named.file)}
        for name in self.skip:
            if name not in known:
                problem = f"'{self.name}' has no rule '{name}' to skip{nearest(name, known)}"
                raise UsageError(problem)

    def without(self, names: Iterable[str]) -> RulePass:
        """Return this pass with some of its rules, or files of rules, left out."""
        own = {part for named in self.rules for part in (named.name, named.file)}
        skip = {*self.skip, *(own & set(names))}
        return dataclasses.replace(self, skip=tuple(sorted(skip)))

    def run(self, model: ir.Model, context: Context) -> int:
        """Apply the rules in every graph, subgraph and function; return how often they did.

        A function of which some attributes depend on the call stays until it is inlined.
        """
        rules = [n for n in self.rules if n.name not in self.skip and n.file not in self.skip]
        names = graph.Names(model)
        changes = 0
        with undeclared(model):
            for home in list(graph.nested(model.graph)):
                changes += _Rewriting(rules, home, model.opset_imports, names, context).run()
        for function in filter(_decided, model.functions.values()):
            for home in list(graph.nested(function.graph)):
                imports = function.opset_imports
                scope = _Rewriting(rules, home, imports, names, context, in_function=True)
                changes += scope.run()
        return changes


def _decided(function: ir.Function) -> bool:
    """Return whether no attribute within a function depends on its call."""
    nodes = (node for home in graph.nested(function.graph) for node in home)
    return not any(each.is_ref() for node in nodes for each in node.attributes.values())


class _Rewriting:
    """One graph being rewritten."""

    def __init__(
        self,
        rules: Sequence[NamedRule],
        home: ir.Graph,
        imports: dict[str, int],
        names: graph.Names,
        context: Context,
        *,
        in_function: bool = False,
    ) -> None:
        self.home = home
        self.imports = imports
        self.opset = imports.get("", 0)
        self.names = names
        self.context = context
        self.in_function = in_function
        self.by_root = _index(rules, self.opset, context)
        self.near: dict[tuple[str, str, tuple[Maker, ...]], list[NamedRule]] = {}
        self.refused: set[tuple[str, ir.Node]] = set()
        self.unsorted = False
        self.changes = 0

    def run(self) -> int:
        """Scan until a scan changes nothing; return the number of rewrites."""
        before = -1
        while self.by_root and self.changes > before:
            before = self.changes
            self._scan()
            if self.unsorted:
                self.home.sort()
                self.unsorted = False
        return self.changes

    def _scan(self) -> None:
        kinds = {op_type for _, op_type in self.by_root}
        pending = deque(n for n in self.home if n.op_type in kinds and self._rules(n))
        waiting = set(pending)
        limit = _PATIENCE * (len(self.home) + _PATIENCE)
        while pending:
            node = pending.popleft()
            waiting.discard(node)
            if node.graph is not self.home:
                continue
            touched = self._rewrite(node)
            if touched is None:
                continue
            self.changes += 1
            if self.changes > limit:
                self._give_up()
            for other in touched:
                if other not in waiting and other.graph is self.home and self._rules(other):
                    waiting.add(other)
                    pending.append(other)

    def _give_up(self) -> NoReturn:
        latest = sorted({site.rule for site in self.context.gate.applied[-_PATIENCE:]})
        raise OnnxoptError(
            f"no rest after {self.changes} rewrites: {', '.join(latest)} undo one another; "
            "skip one of them"
        )

    def _rules(self, node: ir.Node) -> Sequence[NamedRule]:
        return self.by_root.get((node.domain, node.op_type), ())

    def _candidates(self, node: ir.Node) -> Sequence[NamedRule]:
        """Return the rules that may match; few kinds of neighbourhood recur at many nodes."""
        made = makers(node)
        key = (node.domain, node.op_type, made)
        if key not in self.near:
            self.near[key] = [
                n for n in self._rules(node) if fed(n.rule, made) and possible(n.rule, node, made)
            ]
        return self.near[key]

    def _rewrite(self, node: ir.Node) -> list[ir.Node] | None:
        """Apply the first rule that fits; return the nodes worth another look."""
        for named in self._candidates(node):
            found = match(named.rule, node)
            if found is None or (named.name, node) in self.refused:
                continue
            touched = self._apply(named, node, found)
            if touched is not None:
                return touched
        return None

    def _apply(self, named: NamedRule, node: ir.Node, found: Match) -> list[ir.Node] | None:
        olds = _outputs(named.rule, found)
        if not any(graph.used(old) for old in olds):
            return None
        base = olds[0].name or node.op_type
        builder = Builder(
            self.context,
            self.home,
            self.opset,
            self.names,
            base,
            in_function=self.in_function,
        )
        try:
            news = named.rule.apply(builder, node, found)
        except Decline:
            builder.drop()
            return None
        except _MALFORMED as problem:
            _log.warning("%s leaves '%s' as it is: %s", named.name, base, problem)
            builder.drop()
            self.refused.add((named.name, node))
            return None
        kept = None if _reshaped(olds, news) else _kept_outputs(builder, node, olds, news)
        if kept is None or not self.context.gate.permit(named.name, base):
            builder.drop()
            self.refused.add((named.name, node))
            return None
        return self._commit(named, node, found, builder, olds, kept)

    def _commit(
        self,
        named: NamedRule,
        node: ir.Node,
        found: Match,
        builder: Builder,
        olds: Sequence[ir.Value],
        news: Sequence[ir.Value],
    ) -> list[ir.Node]:
        builder.keep(node)
        for domain in builder.domains - self.imports.keys():
            self.imports[domain] = 1
        self.unsorted |= len(named.rule.outputs) > 1
        for made in builder.nodes:
            made.meta["onnxopt.rule"] = named.name
        readers = [user for old in olds for user in old.consumers()]
        for old, new in zip(olds, news, strict=True):
            graph.replace(old, new, fresh=new.producer() in builder.nodes)
        sources = [value.producer() for value in node.inputs if value is not None]
        graph.remove_dead(found.nodes.values())
        alive = (source for source in sources if source is not None)
        return [*builder.nodes, *readers, *alive]


def _index(
    rules: Iterable[NamedRule], opset: int, context: Context
) -> Mapping[tuple[str, str], list[NamedRule]]:
    """Return the rules that apply at this opset and on this target, by the root's operator."""
    index: dict[tuple[str, str], list[NamedRule]] = {}
    for named in rules:
        rule = named.rule
        has = not rule.needs or context.target.operators.issuperset(rule.needs)
        if rule.since <= opset <= rule.until and has:
            for op_type in rule.root.op_types:
                index.setdefault((rule.root.domain, op_type), []).append(named)
    return index


def _outputs(rule: Rule, found: Match) -> list[ir.Value]:
    values = []
    for output in rule.outputs:
        op, index = (output.op, output.index) if isinstance(output, Output) else (output, 0)
        values.append(found.nodes[id(op)].outputs[index])
    return values


def _reshaped(olds: Sequence[ir.Value], news: Sequence[ir.Value]) -> bool:
    """Return whether a new value is known to have another shape than the old one.

    So it is where a constant in the match has more axes than what it is combined with.
    """
    for old, new in zip(olds, news, strict=True):
        before, after = graph.dims(old), graph.dims(new)
        if before is not None and after is not None and not _may_equal(before, after):
            return True
    return False


def _may_equal(before: Sequence[int | str | None], after: Sequence[int | str | None]) -> bool:
    if len(before) != len(after):
        return False
    pairs = zip(before, after, strict=True)
    return all(a == b or not isinstance(a, int) or not isinstance(b, int) for a, b in pairs)


def _kept_outputs(
    builder: Builder, node: ir.Node, olds: Sequence[ir.Value], news: tuple[ir.Value, ...]
) -> list[ir.Value] | None:
    """Copy a value that cannot become a graph's output itself; None where that gains nothing."""
    kept = []
    for old, new in zip(olds, news, strict=True):
        producer = new.producer()
        fresh = producer in builder.nodes and not new.is_graph_output()
        stays = not fresh and not graph.replaceable(old, new)
        if stays and node.op_type == "Identity":
            return None
        kept.append(builder.Identity(new) if stays else new)
    return kept
