"""Patterns: expressions in ONNX operators, traced from a rule's ``pattern`` method."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from onnxopt.errors import UsageError

AttrValue = int | float | str | Sequence[int]


class Node:
    """Anything that can stand for one value in a pattern."""

    def __add__(self, other: Operand) -> Op:
        return Op("Add", (self, other))

    def __radd__(self, other: Operand) -> Op:
        return Op("Add", (other, self))

    def __sub__(self, other: Operand) -> Op:
        return Op("Sub", (self, other))

    def __rsub__(self, other: Operand) -> Op:
        return Op("Sub", (other, self))

    def __mul__(self, other: Operand) -> Op:
        return Op("Mul", (self, other))

    def __rmul__(self, other: Operand) -> Op:
        return Op("Mul", (other, self))

    def __truediv__(self, other: Operand) -> Op:
        return Op("Div", (self, other))

    def __rtruediv__(self, other: Operand) -> Op:
        return Op("Div", (other, self))

    def __matmul__(self, other: Operand) -> Op:
        return Op("MatMul", (self, other))

    def __neg__(self) -> Op:
        return Op("Neg", (self,))


class Var(Node):
    """Matches any value that is there; a variable used twice must match one value twice."""

    def __init__(self, name: str) -> None:
        self.name = name


class Const(Var):
    """Matches a constant: an initializer that cannot be overridden, or a Constant node."""


class Opt(Var):
    """Matches any value, and an input that is absent; binds None then."""


class Rest(Var):
    """Matches all remaining inputs of its operator; binds a tuple. Must stand last."""


class Attr:
    """Binds an attribute's value under a name; ``default`` where the node has none.

    Without a default the node must have the attribute.
    """

    def __init__(self, name: str, default: AttrValue | None = None) -> None:
        self.name = name
        self.default = default


class Number(Node):
    """Matches a constant whose elements all are one number."""

    def __init__(self, value: float) -> None:
        self.value = float(value)


class Either(Node):
    """Matches the first of several alternatives that fits; all must bind the same names."""

    def __init__(self, *options: Node) -> None:
        self.options = options


Operand = Node | float | int


class Op(Node):
    """Matches one output of a node with this operator, these inputs and these attributes."""

    def __init__(
        self,
        op_type: str | tuple[str, ...],
        inputs: Sequence[Operand],
        attributes: dict[str, AttrValue | Attr] | None = None,
        *,
        domain: str = "",
        name: str | None = None,
    ) -> None:
        self.op_types = (op_type,) if isinstance(op_type, str) else op_type
        self.domain = domain
        self.inputs = tuple(Number(i) if isinstance(i, int | float) else i for i in inputs)
        self.attributes = attributes or {}
        self.name = name
        for operand in self.inputs[:-1]:
            if isinstance(operand, Rest):
                raise UsageError(f"pattern of {op_type}: Rest '{operand.name}' must stand last")

    def output(self, index: int) -> Output:
        """Return another output than the first."""
        return Output(self, index)


class Output(Node):
    """Matches a given output of a node."""

    def __init__(self, op: Op, index: int) -> None:
        self.op = op
        self.index = index


class PatternOps:
    """Traces ``op.Name(inputs…, attribute=value)`` into a pattern.

    ``_domain`` sets the operator's domain and ``_name`` binds the node's first output under a name.
    An attribute that a pattern does not mention may have any value.
    """

    def __getattr__(self, op_type: str) -> Callable[..., Op]:
        if op_type.startswith("_"):
            raise AttributeError(op_type)
        return self.one_of(op_type)

    def one_of(self, *op_types: str) -> Callable[..., Op]:
        """Return a maker of patterns that match any of several operators."""

        def trace(
            *inputs: Operand,
            _domain: str = "",
            _name: str | None = None,
            **attributes: AttrValue | Attr,
        ) -> Op:
            return Op(op_types, inputs, attributes, domain=_domain, name=_name)

        return trace


KINDS: dict[str, type[Var]] = {"Var": Var, "Const": Const, "Opt": Opt, "Rest": Rest}
