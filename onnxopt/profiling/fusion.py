"""Which nodes of a model each node that its runtime runs stands for."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from onnxopt.profiling.regions import Step, producers, region

_CUTS = re.compile(r"[^0-9A-Za-z]")
_PREFIXES = ("fused ", "InsertedPrecisionFreeCast_")
"""What a runtime puts before a name that it goes on using."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origins:
    """What became of the nodes of a model."""

    of: Mapping[Step, tuple[Step, ...]]
    """The nodes of the model for each one that runs; none for what the runtime put in."""
    values: Mapping[Step, tuple[str, ...]]
    """The model's own values that each node that runs computes."""
    folded: tuple[Step, ...]
    """Computed when the session opened."""
    removed: tuple[Step, ...]
    """Found to do nothing, or not found again."""


def origins(model: Sequence[Step], executed: Sequence[Step]) -> Origins:
    """Attribute a model's nodes to those that run, by the values that both have.

    A node that runs computes the values that it has as outputs, or else the one that it is named
    after, or else that of the node which does the same to the same inputs. It stands for the nodes
    of the model between there and the values that other nodes compute. Of two nodes that claim a
    value the first has it; the other changed a layout.
    """
    match = _Match(model, executed)
    for step in executed:
        match.place(step)
    found = {}
    seen: set[Step] = set()
    for step in executed:
        parts = [p for value in match.values[step] for p in region(value, match.made, match.taken)]
        found[step] = tuple(dict.fromkeys(parts))
        seen.update(parts)
    missing = [step for step in model if step not in seen]
    return Origins(
        of=found,
        values=match.values,
        folded=tuple(step for step in missing if step.constant),
        removed=tuple(step for step in missing if not step.constant),
    )


class _Match:
    """Which of a model's values each node that runs computes, node by node in their order."""

    def __init__(self, model: Sequence[Step], executed: Sequence[Step]) -> None:
        self.made = producers(model)
        self.values: dict[Step, tuple[str, ...]] = {}
        self.taken: set[str] = set()
        self._named = {step.name: step for step in model if step.name}
        self._uses = _uses(model)
        self._next = _uses(executed)
        self._known = {step.op_type for step in model}
        self._same: dict[str, str] = {}
        """The model's value that a value of the running graph holds, under another name."""
        named = {value for step in executed for value in self._named_after(step)}
        computed = (name for s in executed if s.op_type in self._known for name in s.outputs)
        self._due = named.union(computed)

    def place(self, step: Step) -> None:
        own = [name for name in step.outputs if name in self.made]
        if own:
            found = [name for name in own if name not in self.taken]
        else:
            found = [*(self._named_after(step) or self._like(step))]
            if len(found) == 1:
                found = [self._furthest(step, found[0])]
            passed = [self._original(name) for name in step.inputs[:1]]
            self._same.update(zip(step.outputs, found or passed, strict=False))
        self.values[step] = tuple(found)
        self.taken.update(found)

    def _original(self, name: str) -> str:
        return self._same.get(name, name)

    def _named_after(self, step: Step) -> Sequence[str]:
        """Return the values of the node, or the value, whose name this node's own starts with."""
        name = step.name
        for prefix in _PREFIXES:
            name = name.removeprefix(prefix)
        cuts = [len(name), *(match.start() for match in reversed(list(_CUTS.finditer(name))))]
        for cut in cuts:
            start, rest = name[:cut], name[cut:].strip("_/ :")
            if rest.isdecimal() or not start:
                continue
            if start in self.made and start not in self.taken:
                return (start,)
            if start in self._named:
                return [v for v in self._named[start].outputs if v not in self.taken]
        return ()

    def _like(self, step: Step) -> Sequence[str]:
        """Return the values of the node that does the same to the same inputs."""
        inputs = {self._original(name) for name in step.inputs}
        for name in inputs:
            for other in self._uses.get(name, ()):
                if other.op_type == step.op_type and self._moving(other) <= inputs:
                    return [value for value in other.outputs if value not in self.taken]
        return ()

    def _furthest(self, step: Step, value: str) -> str:
        """Follow a value through a node with two operands, and what comes after, that was taken in.

        Nothing else runs it, and the other operand is an input of the node in question. A chain
        with one operand that another node is named after is that node's.
        """
        inputs = {self._original(name) for name in step.inputs}
        after = self._operators_after(step)
        end = value
        while len(self._uses.get(end, ())) == 1:
            (user,) = self._uses[end]
            moving = self._moving(user)
            fits = moving <= inputs | {end} and (end != value or len(moving) > 1)
            if not fits or user.op_type in after or len(user.outputs) != 1:
                break
            if user.outputs[0] in self._due | self.taken:
                return value
            end = user.outputs[0]
        return end

    def _moving(self, step: Step) -> set[str]:
        """Return the inputs of a node that are not constant."""
        return {n for n in step.inputs if n in self._uses and self._varies(n)}

    def _varies(self, name: str) -> bool:
        return name in self.made and not self.made[name].constant

    def _operators_after(self, step: Step) -> set[str]:
        """Return the operators that read a node's outputs, behind changes of layout as well."""
        met: set[Step] = set()
        ahead = list(step.outputs)
        while ahead:
            users = [user for user in self._next.get(ahead.pop(), ()) if user not in met]
            met.update(users)
            ahead += [name for u in users if u.op_type not in self._known for name in u.outputs]
        return {user.op_type for user in met}


def _uses(graph: Sequence[Step]) -> dict[str, list[Step]]:
    found: dict[str, list[Step]] = {}
    for step in graph:
        for name in step.inputs:
            found.setdefault(name, []).append(step)
    return found
