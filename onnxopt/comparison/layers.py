"""Where along the depth two models part: errors of the tensors that both of them have."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt.comparison.energy import Energy, continuous
from onnxopt.comparison.tensors import Candidates, Pair, Sketches, chosen_pairs
from onnxopt.evaluate import Evaluator, Watch
from onnxopt.segments import reads
from onnxopt.target import Backend, Feeds

JUMP = 6.0
"""Decibels: half of the amplitude. A smaller loss in one node is no parting."""

_RECOVERY = 10.0
"""Decibels by which all that is computed from a tensor is better where that is no pair."""

_POOR = 20.0
"""Decibels from which on two tensors are taken for a pair in any case."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """One tensor that both models compute."""

    name: str
    other: str
    """Its name in the second model."""
    operator: str
    """What computes it in the first model."""
    place: int
    """Which node of the first model that is, from 0."""
    sqnr: float
    """In dB; infinite where equal, NaN where one is NaN or infinite and the other is not."""
    cosine: float
    above: float
    """The least ratio of the nearest of these tensors that it is computed from; inf for inputs."""
    direct: bool
    """Whether all that its node reads was compared, or is an input or a weight."""
    doubtful: bool
    """Only the name or only the place makes it a pair, and all that is computed from it is much
    better: likely the two are not the same, as where an operator was folded into the one before it.
    """

    @property
    def falls(self) -> bool:
        """Whether so much is lost here that it is no mere change of the signal, as by a Relu."""
        return math.isnan(self.sqnr) or self.above - self.sqnr >= JUMP

    @property
    def added(self) -> float:
        """The noise, relative to the signal, that came in since those: ``10^(-sqnr / 10)``."""
        if self.doubtful or self.above == -math.inf:  # what it reads is NaN or infinite already
            return 0.0
        if math.isnan(self.sqnr):
            return math.inf
        return max(0.0, _noise(self.sqnr) - _noise(self.above))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parting:
    """The tensors that both models have, in the order of the first, and where errors come in."""

    layers: tuple[Layer, ...]
    floor: float
    """Decibels from which on rounding explains a difference."""
    tensors: tuple[int, int]
    """Floating-point tensors that the two models compute."""
    samples: int

    @property
    def first(self) -> Layer | None:
        """The first tensor with an error that rounding does not explain and its inputs lack."""
        wrong = [layer for layer in self.layers if not layer.doubtful and self._wrong(layer)]
        for layer in wrong:
            fall = min(layer.above, self.floor) - layer.sqnr
            if math.isnan(layer.sqnr) or fall >= JUMP:
                return layer
        return wrong[0] if wrong else None

    def _wrong(self, layer: Layer) -> bool:
        return math.isnan(layer.sqnr) or layer.sqnr < self.floor

    @property
    def costly(self) -> list[Layer]:
        """The tensors at which most noise comes in, most first."""
        noisy = [layer for layer in self.layers if layer.added > _noise(self.floor) and layer.falls]
        return sorted(noisy, key=lambda layer: -layer.added)


def _noise(sqnr: float) -> float:
    return 0.0 if sqnr == math.inf else 10 ** (min(-sqnr, 3000.0) / 10)


def layers(
    models: tuple[ir.Model, ir.Model],
    backends: tuple[Backend, Backend],
    samples: Iterable[tuple[Feeds, Feeds]],
    floor: float,
) -> Parting:
    """Compare what two models compute inside; both run as they are written.

    Tensors are matched by name and by structure, and where that leaves a choice, by what they hold
    for the first sample. Both models run side by side in segments: no more is in memory than what
    a segment of either hands out, and what waits for its counterpart.
    """
    given = list(samples)
    candidates = Candidates.of(*models)
    evaluators = [Evaluator(backend) for backend in backends]
    sketches = Sketches()
    for side, values in enumerate(candidates.values):
        with evaluators[side].watched(models[side], values) as watch:
            sketches.add(watch(given[0][side]))
    pairs = chosen_pairs(candidates, sketches)
    energies = {id(pair.one): Energy() for pair in pairs}
    mine, theirs = [pair.one for pair in pairs], [pair.other for pair in pairs]
    with (
        evaluators[0].watched(models[0], mine) as first,
        evaluators[1].watched(models[1], theirs) as second,
    ):
        for feeds in given:
            for value, expected, actual in _together((first, second), feeds, pairs):
                energies[id(value)].add(expected, actual)
    return Parting(
        layers=tuple(_told(models[0], pairs, energies)),
        floor=floor,
        tensors=(sketches.count(candidates.values[0]), sketches.count(candidates.values[1])),
        samples=len(given),
    )


def _together(
    watches: tuple[Watch, Watch],
    feeds: tuple[Feeds, Feeds],
    pairs: Sequence[Pair],
) -> Iterator[tuple[ir.Value, np.ndarray, np.ndarray]]:
    """Run both, the one that is behind at each step; yield arrays as soon as both are there."""
    partner = {id(pair.other): pair.one for pair in pairs}
    waiting: tuple[dict[int, np.ndarray], dict[int, np.ndarray]] = ({}, {})
    streams = [watch(given) for watch, given in zip(watches, feeds, strict=True)]
    done = [False, False]
    while not all(done):
        side = 1 if done[0] or (waiting[0] and not done[1]) else 0
        value, array = next(streams[side], (None, None))
        if value is None or array is None:
            done[side] = True
            continue
        one = partner[id(value)] if side else value
        counterpart = waiting[1 - side].pop(id(one), None)
        if counterpart is None:
            waiting[side][id(one)] = array
        elif array.shape == counterpart.shape and continuous(array) and continuous(counterpart):
            yield (one, counterpart, array) if side else (one, array, counterpart)


def _told(
    model: ir.Model,
    pairs: Sequence[Pair],
    energies: Mapping[int, Energy],
) -> Iterator[Layer]:
    """Go down the first model and tell each tensor, with the worst of those it is made of."""
    others = {id(pair.one): pair.other for pair in pairs}
    sure = frozenset(id(pair.one) for pair in pairs if pair.sure)
    doubtful = _doubtful(model, energies, sure)
    worst: dict[int, float] = {}
    compared: set[int] = set()
    for place, node in enumerate(model.graph):
        read = list(reads(node))
        above = min((worst.get(id(value), math.inf) for value in read), default=math.inf)
        direct = all(value.producer() is None or id(value) in compared for value in read)
        for value in node.outputs:
            energy = energies.get(id(value))
            if energy is None or not energy.elements:
                worst[id(value)] = above
                continue
            worst[id(value)] = above if id(value) in doubtful else _ratio(energy)
            if id(value) not in doubtful:
                compared.add(id(value))
            yield Layer(
                name=value.name or "",
                other=others[id(value)].name or "",
                operator=node.op_type,
                place=place,
                sqnr=energy.sqnr,
                cosine=energy.cosine,
                above=above,
                direct=direct,
                doubtful=id(value) in doubtful,
            )


def _doubtful(model: ir.Model, energies: Mapping[int, Energy], sure: frozenset[int]) -> set[int]:
    """Return the tensors, by ``id``, of which all that is computed from them is much better."""
    below: dict[int, float] = {}
    found: set[int] = set()
    for node in reversed(model.graph):
        least = math.inf
        for value in node.outputs:
            energy = energies.get(id(value))
            after = below.get(id(value), math.inf)
            if energy is None or not energy.elements:
                least = min(least, after)
            elif id(value) in below and id(value) not in sure and _poor(_ratio(energy), after):
                found.add(id(value))
                least = min(least, after)
            else:
                least = min(least, _ratio(energy))
        for value in reads(node):
            below[id(value)] = min(below.get(id(value), math.inf), least)
    return found


def _poor(ratio: float, after: float) -> bool:
    return ratio < _POOR and after - ratio >= _RECOVERY


def _ratio(energy: Energy) -> float:
    return -math.inf if math.isnan(energy.sqnr) else energy.sqnr
