"""Passes one after another, as a value with a text form."""

from __future__ import annotations

import dataclasses
import importlib
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import onnx_ir as ir
import onnx_ir.passes

from onnxopt import catalogue
from onnxopt.base import Context, Observer, Pass
from onnxopt.errors import UsageError
from onnxopt.rewrite import RulePass
from onnxopt.spec import Tokens, nearest, read_options, write_options

_ROUNDS = 30
"""Rounds after which a ``repeat`` stops although its passes still find something."""


class Foreign(Pass):
    """A pass of onnx-ir's or of anybody's, or a rule set of onnxscript's: ``module:object``."""

    idempotent = False

    spec: str
    step: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.spec)

    def run(self, model: ir.Model, context: Context) -> int:
        """Run it on the model itself; one that makes a new model has its parts moved over."""
        if isinstance(self.step, Pass):
            return self.step.run(model, context)
        if not context.gate.permit(self.spec, "model"):
            return 0
        if hasattr(self.step, "apply_to_model"):
            return int(self.step.apply_to_model(model))
        result = self.step(model)
        if result.model is not model:
            model.graph = result.model.graph
            model.functions.clear()
            model.functions.update(result.model.functions)
        return int(result.modified)


@dataclasses.dataclass(frozen=True)
class Repeat:
    """Steps repeated until a round changes nothing."""

    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return f"repeat({_join(self.steps)})"


Step = Pass | Repeat


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """A sequence of passes: ``fold-constants, repeat(fuse, dce)``."""

    steps: tuple[Step, ...]

    @classmethod
    def of(cls, steps: Iterable[Step | onnx_ir.passes.PassBase | Any]) -> Pipeline:
        """Make a pipeline of our passes, onnx-ir's and onnxscript's rule sets."""
        return cls(tuple(_adopt(step) for step in steps))

    @classmethod
    def parse(cls, text: str) -> Pipeline:
        """Read a pipeline; UsageError points at what is wrong and suggests the nearest name."""
        tokens = Tokens(text)
        steps = _parse_steps(tokens) if tokens.peek() else ()
        if tokens.peek():
            tokens.fail(f"unexpected '{tokens.peek()}'")
        return cls(steps)

    def __str__(self) -> str:
        return _join(self.steps)

    @property
    def lossy(self) -> list[str]:
        """The names of the passes that change what the model computes."""
        return [step.name for step in _flat(self.steps) if not step.lossless]

    @property
    def quantizing(self) -> frozenset[str]:
        """The names of the passes that quantize what they rewrite."""
        return frozenset(step.name for step in _flat(self.steps) if step.quantizes)

    @property
    def prunes(self) -> bool:
        """Whether some pass takes away what the model holds."""
        return any(step.name.startswith("prune/") for step in _flat(self.steps))

    def without(self, names: Sequence[str]) -> Pipeline:
        """Return the pipeline without the passes of these names; unknown names are UsageErrors.

        Skipping one file of a family leaves the others of the family in place.
        """
        rules = {rule for step in _flat(self.steps) for rule in _rule_names(step)}
        for name in names:
            if name not in rules:
                catalogue.find_pass(name)
        return Pipeline(_without(self.steps, frozenset(names)))

    def run(self, model: ir.Model, context: Context, observers: Sequence[Observer] = ()) -> int:
        """Run all passes on the model, in place; return the number of changes."""
        course = _Course(model, context, observers)
        return sum(course.run(step) for step in self.steps)


def _flat(steps: Iterable[Step]) -> Iterator[Pass]:
    for step in steps:
        if isinstance(step, Repeat):
            yield from _flat(step.steps)
        else:
            yield step


def _rule_names(step: Pass) -> Iterator[str]:
    if isinstance(step, RulePass):
        yield from (named.name for named in step.rules)


_Key = tuple[type[Pass], int | str]
"""What tells one pass with its options from another."""


class _Course:
    """A pipeline under way on a model.

    A pass is left out where it could only find what it found before: it has run already, nothing
    has changed since, and it either found nothing then or is idempotent.
    """

    def __init__(self, model: ir.Model, context: Context, observers: Sequence[Observer]) -> None:
        self._model = model
        self._context = context
        self._observers = observers
        self._changes = 0
        self._settled: dict[_Key, int] = {}
        """How many changes there had been when a pass had nothing left to do."""

    def run(self, step: Step) -> int:
        """Run a step and return the number of changes."""
        if isinstance(step, Repeat):
            return self._repeat(step)
        key = (type(step), id(step) if isinstance(step, Foreign) else _text(step))
        return 0 if self._settled.get(key) == self._changes else self._pass(step, key)

    def _repeat(self, step: Repeat) -> int:
        total = 0
        for _ in range(_ROUNDS):
            changes = sum(map(self.run, step.steps))
            total += changes
            if not changes:
                break
        return total

    def _pass(self, step: Pass, key: _Key) -> int:
        for observer in self._observers:
            observer.before(step, self._model)
        self._context.gate.scope = step.name
        changes = step.run(self._model, self._context)
        self._changes += changes
        if not changes or step.idempotent:
            self._settled[key] = self._changes
        for observer in reversed(self._observers):
            observer.after(step, self._model, changes)
        return changes


def _adopt(step: Any) -> Step:
    if isinstance(step, Repeat):
        return Repeat(tuple(_adopt(inner) for inner in step.steps))
    if isinstance(step, Pass):
        return step
    if _foreign_kind(step):
        return Foreign(spec=f"{type(step).__module__}:{type(step).__qualname__}", step=step)
    raise UsageError(f"not a pass: {step!r}; give a Pass, an onnx_ir pass or a rule set")


def _foreign_kind(step: Any) -> bool:
    return isinstance(step, onnx_ir.passes.PassBase) or hasattr(step, "apply_to_model")


def _parse_steps(tokens: Tokens) -> tuple[Step, ...]:
    steps = [_parse_step(tokens)]
    while tokens.peek() == ",":
        tokens.take()
        steps.append(_parse_step(tokens))
    return tuple(steps)


def _parse_step(tokens: Tokens) -> Step:
    name = tokens.word("the name of a pass")
    if name == "repeat":
        tokens.expect("(")
        inner = _parse_steps(tokens)
        tokens.expect(")")
        return Repeat(inner)
    if ":" in name:
        return _foreign(name, tokens)
    try:
        kind = catalogue.find_pass(name)
    except UsageError as problem:
        known = catalogue.passes()
        unknown = f"unknown pass '{name}'{nearest(name, ('repeat', *known))}"
        tokens.fail(str(problem) if name in known else unknown, back=1)
    return kind(**read_options(tokens, kind, name))


def _foreign(spec: str, tokens: Tokens) -> Pass:
    module, _, path = spec.partition(":")
    try:
        found = operator.attrgetter(path)(importlib.import_module(module))
        step = found if _foreign_kind(found) and not isinstance(found, type) else found()
    except ModuleNotFoundError as problem:
        package = (problem.name or module).partition(".")[0]
        tokens.fail(f"'{package}' is not installed: pip install {package}", back=1)
    except (ImportError, AttributeError, TypeError, ValueError) as problem:
        tokens.fail(f"cannot use '{spec}': {problem}", back=1)
    if not _foreign_kind(step):
        tokens.fail(f"'{spec}' is neither a pass nor a set of rules", back=1)
    return Foreign(spec=spec, step=step)


def _join(steps: Iterable[Step]) -> str:
    return ", ".join(_text(step) for step in steps)


def _text(step: Step) -> str:
    if isinstance(step, Repeat):
        return str(step)
    return step.name if isinstance(step, Foreign) else step.name + write_options(step)


def _without(steps: Iterable[Step], names: frozenset[str]) -> tuple[Step, ...]:
    kept: list[Step] = []
    for step in steps:
        if isinstance(step, Repeat):
            inner = _without(step.steps, names)
            if inner:
                kept.append(Repeat(inner))
        elif step.name not in names:
            kept.append(step.without(names) if isinstance(step, RulePass) else step)
    return tuple(kept)
