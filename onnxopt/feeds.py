"""Random feeds that a model accepts, made up from its signature."""

from __future__ import annotations

import ast
import dataclasses
import enum
import functools
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.errors import ModelError, OnnxoptError
from onnxopt.samples import Sample, Samples
from onnxopt.signature import Dim, Kind, Need, needs
from onnxopt.target import Feeds, Outputs

LARGEST = 2**26
"""Elements that made-up feeds may have in all."""

Sizes = Mapping[str, int]
"""The size of each unknown dimension, by its name."""


class Mode(enum.Enum):
    """How the elements are drawn."""

    RANDOM = "random"
    EDGES = "edge"
    """Half of the elements are zeros of both signs, ones, and small and large numbers."""
    NEGATIVE = "negative"
    LARGE = "large"
    ZEROS = "zeros"
    ONES = "ones"


CYCLE = (Mode.RANDOM, Mode.EDGES, Mode.NEGATIVE, Mode.LARGE, Mode.ZEROS, Mode.ONES)
"""The order in which a stream of made-up samples takes the modes."""

# Sizes by what a dimension stands for. The first two are tried first, the others only when the
# model refuses those: multiples of 32 for images, windows of audio for sequences.
_BATCH = (1, 2)
_SPATIAL = (64, 96, 224, 128, 256, 320, 416, 512, 640, 32)
_SEQUENCE = (7, 12, 8, 16, 64, 128, 512, 576, 256, 1, 1024, 4096, 16000)
_PAST = (0, 3)


@dataclasses.dataclass(frozen=True)
class Plan:
    """How to feed a model: its needs, and what each unknown dimension stands for."""

    needs: tuple[Need, ...]
    roles: Mapping[str, str]

    @classmethod
    def of(cls, model: ir.Model) -> Plan:
        """Read a model's inputs; raises ModelError for one that is no tensor."""
        return cls.for_needs(tuple(needs(model)))

    @classmethod
    def for_needs(cls, found: tuple[Need, ...]) -> Plan:
        """Work out what the unknown dimensions stand for."""
        return cls(found, _roles(found))

    def sizes(self) -> Iterator[Sizes]:
        """Yield sizes for the unknown dimensions, likely ones first; one empty set without any."""
        tried = []
        tokens = (need.dims[-1] for need in self.needs if need.kind is Kind.INDEX and need.dims)
        fixed = next((length for length in tokens if isinstance(length, int)), 0)
        for batch, step, past in _steps():
            sizes = {
                name: past + fixed if fixed and role == "total" else _size(role, batch, step, past)
                for name, role in sorted(self.roles.items())
            }
            if sizes not in tried:
                tried.append(sizes)
                yield sizes

    def feeds(self, sizes: Sizes, mode: Mode = Mode.RANDOM, seed: int = 0) -> Feeds:
        """Draw arrays for every input; raises ModelError where they would be huge."""
        rng = np.random.default_rng(seed)
        shapes = [tuple(resolved(dim, sizes) for dim in need.dims) for need in self.needs]
        if sum(map(math.prod, shapes)) > LARGEST:
            largest = max(range(len(shapes)), key=lambda at: math.prod(shapes[at]))
            raise ModelError(
                f"input '{self.needs[largest].name}' has {math.prod(shapes[largest]):,} elements: "
                "too many to make up; pass samples"
            )
        past = max((sizes[name] for name, role in self.roles.items() if role == "past"), default=0)
        return {
            need.name: _drawn(need, shape, mode, rng, past)
            for need, shape in zip(self.needs, shapes, strict=True)
        }


def _steps() -> Iterator[tuple[int, int, int]]:
    """Yield (batch, step on the ladder of sizes, past): two usual ones, then the ladder."""
    yield _BATCH[0], 0, _PAST[0]
    yield _BATCH[1], 1, _PAST[1]
    for step in range(len(_SEQUENCE)):
        yield from ((batch, step, _PAST[1]) for batch in _BATCH)


def _size(role: str, batch: int, step: int, past: int) -> int:
    match role:
        case "batch":
            return batch
        case "spatial":
            return _SPATIAL[step % len(_SPATIAL)]
        case "channel":
            return 3
        case "past":
            return past
        case "total":
            return past + _SEQUENCE[step]
        case _:
            return _SEQUENCE[step]


def _roles(needs: tuple[Need, ...]) -> dict[str, str]:
    """Say for each unknown dimension what it is; a name that tells beats a place that suggests."""
    roles: dict[str, str] = {}
    has_past = any("past" in str(dim).lower() for need in needs for dim in need.dims)
    for need in needs:
        for axis, dim in enumerate(need.dims):
            if not isinstance(dim, str):
                continue
            for name in _names(dim) or [dim]:
                told = _told(name if ":" not in name else "")
                if told is not None:
                    roles[name] = told
                else:
                    roles.setdefault(name, _suggested(need, axis))
    if has_past:
        for need in needs:
            for dim in need.dims[1:] if need.kind is Kind.MASK else ():
                if isinstance(dim, str) and _alone(dim, need, needs) and _told(dim) is None:
                    roles[dim] = "total"
    return roles


def _alone(dim: str, owner: Need, needs: tuple[Need, ...]) -> bool:
    return not any(dim in need.dims for need in needs if need is not owner)


def _told(name: str) -> str | None:
    lower = name.lower()
    for word, role in (
        ("batch", "batch"),
        ("total", "total"),
        ("past", "past"),
        ("height", "spatial"),
        ("width", "spatial"),
        ("channel", "channel"),
        ("seq", "sequence"),
        ("time", "sequence"),
        ("len", "sequence"),
    ):
        if word in lower:
            return role
    return None


def _suggested(need: Need, axis: int) -> str:
    if axis == 0 and len(need.dims) > 1:
        return "batch"
    if len(need.dims) >= 4 and need.dtype.is_floating_point() and need.kind is not Kind.CACHE:
        return "channel" if axis == 1 else "spatial"
    return "past" if need.kind is Kind.CACHE and axis == 2 else "sequence"


_EXPRESSION = re.compile(r"[A-Za-z_][\w.]*|\d+|[-+*/() ]+")


def _tree(dim: str) -> ast.expr | None:
    """Parse a dimension such as ``past_length + 1``; None for a plain name."""
    if not any(sign in dim for sign in "+-*/") or _EXPRESSION.sub("", dim):
        return None
    try:
        return ast.parse(dim, mode="eval").body
    except (SyntaxError, RecursionError):
        return None


def _names(dim: str) -> list[str]:
    tree = _tree(dim)
    return [] if tree is None else [n.id for n in ast.walk(tree) if isinstance(n, ast.Name)]


def sizes_of(model: ir.Model, feeds: Feeds) -> dict[str, int]:
    """Return what the extents that inputs leave open are in some feeds, by their names."""
    found: dict[str, int] = {}
    for value in model.graph.inputs:
        array = feeds.get(value.name or "")
        for at, size in enumerate(graph.dims(value) or ()):
            if array is not None and not isinstance(size, int):
                found[size or f"{value.name}:{at}"] = array.shape[at]
    return found


def resolved(dim: Dim, sizes: Sizes) -> int:
    """Return the size of a dimension: a number, a name or an expression such as ``past + 1``."""
    if isinstance(dim, int):
        return dim
    tree = _tree(dim)
    return sizes[dim] if tree is None or dim in sizes else max(0, _computed(tree, sizes))


def _computed(tree: ast.expr, sizes: Sizes) -> int:
    match tree:
        case ast.Name(id=name):
            return sizes[name]
        case ast.Constant(value=int(number)):
            return number
        case ast.BinOp(left=left, op=op, right=right):
            one, other = _computed(left, sizes), _computed(right, sizes)
            match op:
                case ast.Add():
                    return one + other
                case ast.Sub():
                    return one - other
                case ast.Mult():
                    return one * other
                case ast.Div() | ast.FloorDiv() if other:
                    return one // other
    raise ModelError(f"a dimension of an input is '{ast.unparse(tree)}': pass samples instead")


def _drawn(
    need: Need, shape: tuple[int, ...], mode: Mode, rng: np.random.Generator, past: int
) -> np.ndarray:
    dtype = need.dtype.numpy()
    match need.kind:
        case Kind.MASK:
            return _mask(shape, rng).astype(dtype)
        case Kind.POSITIONS:
            row = np.arange(past, past + (shape[-1] if shape else 1)) % (need.below or 2**15)
            return np.broadcast_to(row[: math.prod(shape[-1:])], shape).astype(dtype).copy()
        case Kind.CHOICE:
            at = {Mode.EDGES: 1, Mode.LARGE: 2}.get(mode, 0) % len(need.choices)
            return np.full(shape, need.choices[at], dtype)
        case Kind.LENGTHS:
            return np.asarray(rng.integers(1, 8, shape), dtype)
        case _:
            pass
    if need.dtype == ir.DataType.STRING:
        words = np.array(["", "a", "word", "Größe", "two words"], dtype=object)
        return np.asarray(words[rng.integers(0, len(words), shape)], dtype=object)
    if need.dtype == ir.DataType.BOOL:
        return np.asarray(rng.random(shape) < 0.5)
    if need.dtype.is_integer():
        return _integers(need, shape, mode, rng)
    if dtype.kind == "c":
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    return _floats(need, shape, mode, rng).astype(dtype)


def _mask(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Ones, then padding: every row has at least one 1, and the first row has no padding."""
    if not shape or 0 in shape:
        return np.ones(shape)
    length = rng.integers(1, shape[-1] + 1, shape[:-1])
    length.reshape(-1)[:1] = shape[-1]
    return np.arange(shape[-1]) < length[..., None]


def _integers(
    need: Need, shape: tuple[int, ...], mode: Mode, rng: np.random.Generator
) -> np.ndarray:
    low, high = 0, need.below or 4
    if need.below is None and need.dtype.bitwidth <= 8:
        low, high = int(need.dtype.min), int(need.dtype.max) + 1
    drawn: np.ndarray = rng.integers(low, high, shape)
    match mode:
        case Mode.ZEROS:
            drawn = np.zeros(shape)
        case Mode.ONES:
            drawn = np.full(shape, min(1, high - 1))
        case Mode.LARGE:
            drawn = np.full(shape, high - 1)
        case Mode.EDGES:
            drawn = np.where(rng.random(shape) < 0.25, rng.choice([low, high - 1], shape), drawn)
        case _:
            pass
    return np.asarray(drawn, need.dtype.numpy())


_EDGES = (0.0, -0.0, 1.0, -1.0, 1e-3, -1e-3, 0.5, -0.5, 10.0, -10.0)


def _floats(need: Need, shape: tuple[int, ...], mode: Mode, rng: np.random.Generator) -> np.ndarray:
    spread = 0.5 if need.kind is Kind.CACHE else 1.0
    usual = rng.standard_normal(shape, dtype=np.float32) * np.float32(spread)
    if need.kind is Kind.IMAGE:
        usual = usual * np.float32(0.25) + np.float32(0.5)
    match mode:
        case Mode.ZEROS:
            return np.zeros(shape)
        case Mode.ONES:
            return np.ones(shape)
        case Mode.NEGATIVE:
            return np.asarray(-np.abs(usual))
        case Mode.LARGE:
            return usual * 100
        case Mode.EDGES:
            edges = np.array(_EDGES, dtype=np.float32)[rng.integers(0, len(_EDGES), shape)]
            return np.where(rng.random(shape) < 0.5, usual, edges)
        case _:
            return np.asarray(usual)


Settled = tuple[Sizes, Mode, Feeds, Outputs]
"""Feeds that the original accepts, how they were made, and its outputs."""


def settled(
    plan: Plan, run: Callable[[Feeds], Outputs], seed: int = 0, tries: int = 32
) -> list[Settled]:
    """Find feeds that the model accepts: at two sizes where a dimension is open, else two modes.

    The first are plainly random, the second are edge values. ``run`` runs the original model; it
    raises an OnnxoptError where the sizes do not suit it. Raises the first of those errors when
    no sizes do.
    """
    search = _Search(plan, run, seed, tries)
    first = search.next(plan.sizes(), Mode.RANDOM)
    if first is None:
        raise search.refusal or ModelError("no sizes were found that the model accepts")
    others = [sizes for sizes in plan.sizes() if sizes != first[0]]
    others.sort(key=lambda sizes: sum(sizes[name] == first[0][name] for name in sizes))
    second = search.next(others, Mode.EDGES) or search.next([first[0]], Mode.EDGES)
    return [first] if second is None else [first, second]


class _Search:
    """Tries sizes, but none again that were refused for another batch."""

    def __init__(self, plan: Plan, run: Callable[[Feeds], Outputs], seed: int, tries: int) -> None:
        self._plan = plan
        self._run = run
        self._seed = seed
        self._left = tries
        self._refused: list[Sizes] = []
        self.refusal: OnnxoptError | None = None

    def next(self, candidates: Iterable[Sizes], mode: Mode) -> Settled | None:
        """Return the first of the sizes that the model accepts."""
        for sizes in candidates:
            inner = {k: v for k, v in sizes.items() if self._plan.roles[k] != "batch"}
            if (inner and inner in self._refused) or not self._left:
                continue
            self._left -= 1
            try:
                feeds = self._plan.feeds(sizes, mode, self._seed + CYCLE.index(mode))
                return sizes, mode, feeds, self._run(feeds)
            except OnnxoptError as error:
                self.refusal = self.refusal or error
                self._refused.append(inner)
        return None


def random_samples(
    model: ir.Model,
    *,
    seed: int = 0,
    count: int = 2,
    evaluate: Callable[[ir.Model, Feeds], Outputs] | None = None,
) -> Samples:
    """Make up samples from a model's signature: random ones, then edge values, at two sizes.

    Token ids stay below the size of the table they index, masks and positions look as they do in
    use. With ``evaluate`` the sizes are such as the model accepts; without, the likeliest ones.
    The same seed gives the same samples.
    """
    plan = Plan.of(model)

    @functools.cache
    def bindings() -> list[Sizes]:
        if evaluate is None:
            return list(itertools.islice(plan.sizes(), 2))
        return [entry[0] for entry in settled(plan, functools.partial(evaluate, model), seed)]

    def read() -> Iterator[Sample]:
        for at in range(count):
            sizes = bindings()[at % len(bindings())]
            yield Sample(plan.feeds(sizes, CYCLE[at % len(CYCLE)], seed + at))

    return Samples(read, count)
