"""A rule: a pattern, what takes its place, and how to say no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import onnx_ir as ir

from onnxopt.errors import UsageError
from onnxopt.rewrite.pattern import KINDS, Node, Op, Output, PatternOps
from onnxopt.spec import nearest

if TYPE_CHECKING:
    from onnxopt.rewrite.builder import Builder


class Decline(Exception):  # noqa: N818 - not an error: the rule says that it does not apply
    """Raised by ``rewrite`` where the rule does not apply after all, with the reason."""


class Match:
    """What a pattern matched: values by name, attributes by name, and the nodes covered."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.nodes: dict[int, ir.Node] = {}

    def copy(self) -> Match:
        """Return an independent copy, for backtracking."""
        other = Match()
        other.values = dict(self.values)
        other.nodes = dict(self.nodes)
        return other


class Rule:
    """Replace what ``pattern`` matches by what ``rewrite`` builds.

    ``pattern`` is called once, with a tracer and a variable for each further parameter; annotate
    one as ``Var``, ``Const``, ``Opt`` or ``Rest``. ``rewrite`` is called for each match with a
    builder and with whatever it asks for by parameter name: variables, values named by ``_name``,
    attributes bound by ``Attr``, and ``root``, the matched node. It returns one value for each
    output of the pattern, or raises ``Decline``.
    """

    since: ClassVar[int] = 1
    """The oldest version of the default operator set in which the rule applies."""
    until: ClassVar[int] = 10_000
    """The newest version in which it applies."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Operators beyond ONNX's that the target must have, as ``domain::Name``."""
    reads: ClassVar[tuple[str, ...]] = ()
    """ONNX operators of which one makes an input of the root wherever the rule applies."""
    shared: ClassVar[bool] = False
    """The rule also applies where a value inside the match is used outside of it."""

    pattern: ClassVar[Any]
    rewrite: ClassVar[Any]

    def __init__(self) -> None:
        kinds = type(self).pattern.__annotations__
        variables = [_variable(type(self), name, kinds) for name in _parameters(self.pattern)]
        traced = self.pattern(PatternOps(), *variables)
        self.outputs: tuple[Op | Output, ...] = traced if isinstance(traced, tuple) else (traced,)
        for output in self.outputs:
            if not isinstance(output, Op | Output):
                raise UsageError(f"{type(self).__name__}.pattern must return an operator's output")
        self.wanted = _parameters(self.rewrite)

    @property
    def root(self) -> Op:
        """The operator at which matching starts."""
        first = self.outputs[0]
        return first.op if isinstance(first, Output) else first

    def apply(self, builder: Builder, root: ir.Node, match: Match) -> tuple[ir.Value, ...]:
        """Call ``rewrite`` with what it asks for; raises Decline."""
        known: Mapping[str, Any] = {"root": root, **match.values}
        try:
            given = {name: known[name] for name in self.wanted}
        except KeyError as absent:
            (name,) = absent.args
            problem = f"nothing in the pattern is named '{name}'{nearest(name, known)}"
            raise UsageError(f"{type(self).__name__}.rewrite: {problem}") from absent
        made = self.rewrite(builder, **given)
        return made if isinstance(made, tuple) else (made,)


def _parameters(method: Any) -> tuple[str, ...]:
    """Return the names of a method's parameters after ``self`` and the tracer or builder.

    ``inspect.signature`` would tell too, in forty times as long, for each of a hundred rules.
    """
    code = method.__code__
    names: tuple[str, ...] = code.co_varnames[2 : code.co_argcount]
    return names


def _variable(rule: type[Rule], name: str, annotations: Mapping[str, Any]) -> Node:
    annotation = annotations.get(name, "")
    kind = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    if kind not in KINDS:
        raise UsageError(f"{rule.__name__}.pattern: annotate '{name}' as one of {', '.join(KINDS)}")
    return KINDS[kind](name)
