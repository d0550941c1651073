"""The pass as a value, what it may know of the world, and who watches it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple, dataclass_transform

import onnx_ir as ir
import onnx_ir.passes

from onnxopt.segments import exposing
from onnxopt.target import Feeds, Outputs, Session, Target

if TYPE_CHECKING:
    from onnxopt.quantization.calibration import LastCalibration
    from onnxopt.samples import Samples

Evaluate = Callable[[ir.Model, Feeds], Outputs]
"""Computes a model's outputs exactly as it is written, without optimizing it."""

Load = Callable[[ir.Model], Session]
"""Opens a model for many runs; its runtime may optimize it."""

Progress = Callable[[str, int, int | None], None]
"""Takes what is being done, how many parts of it are, and of how many where that is known."""


class Site(NamedTuple):
    """One rewrite: which pass, by which rule, at which value."""

    pass_name: str
    rule: str
    value: str

    def __str__(self) -> str:
        rule = "" if self.rule == self.pass_name else f" ({self.rule})"
        return f"{self.pass_name}{rule} at '{self.value}'"


class Gate:
    """Asked before every single rewrite, so that a run can be cut short or kept from one place.

    A run with ``limit=k`` makes the first k rewrites of the unlimited run and no other, because
    passes are deterministic; bisecting stands on that. ``denied`` are rewrites in quarantine.
    """

    def __init__(self, limit: int | None = None, denied: frozenset[Site] = frozenset()) -> None:
        self.limit = limit
        self.denied = denied
        self.scope = ""
        self.applied: list[Site] = []

    def permit(self, rule: str, value: str) -> bool:
        """Return whether this rewrite may be made, and note that it is."""
        if self.limit is not None and len(self.applied) >= self.limit:
            return False
        site = Site(self.scope, rule, value)
        if site in self.denied:
            return False
        self.applied.append(site)
        return True


class _Reference(Session):
    """ONNX's reference evaluator: slow, and always there."""

    def __init__(self, model: ir.Model) -> None:
        from onnx.reference import ReferenceEvaluator  # slow to import, needed without a backend

        self._names = [value.name or "" for value in model.graph.outputs]
        self._evaluator = ReferenceEvaluator(ir.to_proto(model))

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        names = self._names if outputs is None else list(outputs)
        return dict(zip(names, list(self._evaluator.run(names, dict(feeds))), strict=True))

    def close(self) -> None:
        pass


def _reference(model: ir.Model, feeds: Feeds) -> Outputs:
    return _Reference(model).run(feeds)


GENERIC = Target(name="generic", pipeline="fold-constants", probe_max_opset=lambda: 1000)


def _silent(what: str, done: int, of: int | None) -> None:
    del what, done, of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What a pass may know of the world outside the model."""

    target: Target = GENERIC
    evaluate: Evaluate = _reference
    load: Load = _Reference
    samples: Samples | None = None
    seed: int = 0
    gate: Gate = dataclasses.field(default_factory=Gate)
    progress: Progress = _silent
    """Told by passes that run the model many times."""
    last_calibration: LastCalibration | None = None
    """What calibrating keeps for once more on a copy of the model; None keeps nothing."""

    def open(self, model: ir.Model, outputs: Sequence[ir.Value] | None = None) -> Session:
        """Open a model for many runs, fast rather than exactly as it is written.

        ``outputs`` are values of its main graph to return in place of its outputs; what they do not
        depend on is not computed. Weights are shared with the model, which must not change while
        the session is open. Raises BackendError where the runtime refuses it.
        """
        return self.load(model if outputs is None else exposing(model, outputs))


def kebab(module: str) -> str:
    """Name a module: ``onnxopt.passes.fuse.erf_gelu`` is ``fuse/erf-gelu``."""
    _, inside, path = module.partition(".passes.")
    return (path if inside else module.rpartition(".")[2]).replace(".", "/").replace("_", "-")


def _declares(cls: type) -> bool:
    """Return whether a class has fields of its own, without which its base's methods do for it."""
    return not {"__annotations__", "__post_init__"}.isdisjoint(cls.__dict__)


@dataclass_transform(kw_only_default=True, frozen_default=True)
@dataclasses.dataclass(frozen=True, kw_only=True)
class Pass(onnx_ir.passes.InPlacePass):
    """A rewrite of a whole model, as a value: a frozen dataclass whose fields are its options.

    The first line of a pass's docstring is its help, its file's name is its name. It changes the
    model in place, asks ``context.gate`` before each rewrite, and returns how many it made.
    """

    name: ClassVar[str] = ""
    idempotent: ClassVar[bool] = True
    """A second run straight after the first changes nothing."""
    changes_signature: ClassVar[bool] = False
    """The pass may change names, types or shapes of the model's inputs and outputs."""
    lossless: ClassVar[bool] = True
    """The outputs stay equal up to rounding."""
    quantizes: ClassVar[bool] = False
    """What it rewrites is quantized by it, not prepared for that."""
    needs_samples: ClassVar[bool] = False
    """The pass runs the model on the samples of the context, and raises UsageError without."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in cls.__dict__:
            cls.name = kebab(cls.__module__)
        if _declares(cls):
            dataclasses.dataclass(frozen=True, kw_only=True)(cls)

    def run(self, model: ir.Model, context: Context) -> int:
        """Rewrite the model and return the number of changes."""
        raise NotImplementedError

    def call(self, model: ir.Model) -> onnx_ir.passes.PassResult:
        """Run as a pass of onnx-ir's, with a context of defaults."""
        return onnx_ir.passes.PassResult(model, modified=self.run(model, Context()) > 0)


class Observer:
    """Watches a pipeline: called round every pass, never from inside one."""

    def before(self, step: Pass, model: ir.Model) -> None:
        """Look at the model before a pass."""

    def after(self, step: Pass, model: ir.Model, changes: int) -> None:
        """Look at the model after a pass that reported so many changes."""
