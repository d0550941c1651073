"""What the outputs lose when one group shrinks, at several widths, after compensation."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from onnxopt.base import Context
from onnxopt.layers import matrices, readers
from onnxopt.pruning import importance
from onnxopt.pruning.candidates import Candidate, Read, Scales, made_rows, masked, scales
from onnxopt.pruning.elimination import Elimination, Reader, eliminate
from onnxopt.pruning.frontier import Frontier, Live, rest, retype, shortcuts_first
from onnxopt.pruning.moments import Moments
from onnxopt.pruning.options import Importance
from onnxopt.pruning.outputs import Distance, telling
from onnxopt.segments import window
from onnxopt.target import Feeds, Session

POSITIONS, ROWS = 32, 16
"""Places that are looked at: of each image at most, and for every column of a layer."""

Weights = Mapping[ir.Value, np.ndarray]


@dataclasses.dataclass(kw_only=True)
class Ranked:
    """A candidate with the order in which its units go, and what each width costs."""

    candidate: Candidate
    order: np.ndarray
    """The units, the first to go first; those that stay in any case may be missing."""
    errors: np.ndarray
    """What is lost of what its readers compute when so many are gone: [removed + 1]."""
    importance: np.ndarray | None = None
    """How much each unit matters over the mean of the group, by its number: [units]."""
    trials: dict[int, Weights] = dataclasses.field(default_factory=dict)
    """Compensated weights at the widths that will be tried."""
    costs: dict[int, float] = dataclasses.field(default_factory=dict)
    """What the model's outputs lose, by width."""

    def gone(self, width: int) -> np.ndarray:
        """Return the units that are gone at a width."""
        return self.order[: self.candidate.group.units - width]

    def scored(self) -> dict[int, float]:
        """Return how much the units that go matter, by width, from the widest on.

        Where units were ranked by what their readers lose, that is it.
        """
        if self.importance is None:
            return self.losses()
        units, widths = self.candidate.group.units, self.candidate.widths
        lost = np.concatenate([[0.0], np.cumsum(self.importance[self.order])])
        start = float(lost[units - widths[0]])
        return {width: float(lost[units - width]) - start for width in widths}

    def losses(self) -> dict[int, float]:
        """Return what the layers that read the units lose, by width, from the widest on."""
        units, widths = self.candidate.group.units, self.candidate.widths
        start = float(self.errors[units - widths[0]])
        return {width: float(self.errors[units - width]) - start for width in widths}


class Ranking:
    """Ranks the units of candidates on what the model computes for the samples."""

    def __init__(
        self,
        model: ir.Model,
        context: Context,
        how: Importance,
        probes: Mapping[str, Sequence[int]],
        given: Scales | None = None,
    ) -> None:
        self._model, self._context, self._how, self._probes = model, context, how, probes
        """How to rank, and the widths of each group at which weights are wanted."""
        self._scales = given or {}
        self._random = np.random.default_rng(context.seed)
        self._gone: Mapping[str, np.ndarray] = {}

    def run(
        self, found: Sequence[Candidate], feeds: Sequence[Feeds], gone: Mapping[str, np.ndarray]
    ) -> list[Ranked]:
        """Return the candidates ranked, in the order given; what is gone already goes first."""
        self._gone = gone
        order = shortcuts_first(self._model.graph)
        place = {node: at for at, node in enumerate(order)}
        stops = [(place[read.layer.node], one, read) for one in found for read in one.reads]
        uses = collections.Counter(read.layer.node for _, _, read in stops)
        known: dict[ir.Node, Moments] = {}
        waiting = {one.name: len(one.reads) for one in found}
        seen: dict[str, list[tuple[Read, Moments]]] = {one.name: [] for one in found}
        ranked = {one.name: self._rank(one, []) for one in found if not one.reads}
        with Frontier(self._model, order, feeds, self._context) as frontier:
            for done, (at, one, read) in enumerate(sorted(stops, key=lambda stop: stop[0])):
                self._context.progress("ranking channels", done, len(stops))
                frontier.advance(at)
                node = read.layer.node
                if node not in known:
                    known[node] = self._moments(read, frontier.live)
                uses[node] -= 1
                seen[one.name].append((read, known[node] if uses[node] else known.pop(node)))
                waiting[one.name] -= 1
                if not waiting[one.name]:
                    ranked[one.name] = self._rank(one, seen.pop(one.name))
        return [ranked[one.name] for one in found]

    def _moments(self, read: Read, samples: Sequence[Live]) -> Moments:
        groups, _, columns = matrices.matrix(read.layer).shape
        found = Moments(groups, columns, 0)
        images = sum(len(live[id(read.layer.x)]) for live in samples)
        each = matrices.each_of(read.layer, images, ROWS, POSITIONS)
        for live in samples:
            array = live[id(read.layer.x)]
            where = matrices.places(read.layer, array, each, self._random)
            x = matrices.columns_at(read.layer, array, where)
            found.add(x, np.zeros((*x.shape[:2], 0), np.float32))
            rest(live.values())
        return found

    def _rank(self, one: Candidate, seen: Sequence[tuple[Read, Moments]]) -> Ranked:
        widths = self._probes[one.name]
        usable = [(read, moments) for read, moments in seen if moments.finite]
        if not usable:
            scores = self._importance(one, usable)
            scores[self._gone[one.name]] = -1.0
            order = np.argsort(scores, kind="stable")
            lost = np.concatenate([[0.0], np.cumsum(np.sort(scores))])
            lost = lost / max(scores.sum(), 1e-30)
            return _plain(Ranked(candidate=one, order=order, errors=lost), widths)
        rank = None if self._how == "reconstruction" else self._importance(one, usable)
        problems = [_problem(read, moments) for read, moments in usable]
        first = self._gone[one.name]
        found = eliminate(problems, one.widths[-1], widths, rank=rank, first=first)
        ranked = _plain(
            Ranked(
                candidate=one,
                order=found.order,
                errors=found.errors,
                importance=None if rank is None else rank / max(float(rank.mean()), 1e-30),
            ),
            widths,
        )
        for width in widths:
            ranked.trials[width] = {
                **ranked.trials[width],
                **dict(_compensated(usable, found, width)),
            }
        return ranked

    def _importance(self, one: Candidate, seen: Sequence[tuple[Read, Moments]]) -> np.ndarray:
        rows = made_rows(one.group)
        match self._how:
            case "l1":
                return importance.norm(rows, 1)
            case "median":
                return importance.geometric_median(rows)
            case "random":
                return self._random.random(one.group.units)
            case "activations" if seen:
                parts = [
                    importance.wanda(
                        matrices.matrix(read.layer)[0],
                        np.diag(moments.gram[0]) / moments.count,
                        read.columns,
                    )
                    for read, moments in seen
                ]
                return np.asarray(sum(part / max(part.mean(), 1e-30) for part in parts))
            case "scale" if (found := scales(one.group, self._scales)) is not None:
                return found
            case _:
                return importance.norm(rows, 2)


def _problem(read: Read, moments: Moments) -> Reader:
    biased = read.layer.bias is not None
    gram = moments.centred_gram() if biased else moments.gram / moments.count
    return Reader(weight=matrices.matrix(read.layer)[0], gram=gram[0], columns=read.columns)


def _plain(ranked: Ranked, widths: Sequence[int]) -> Ranked:
    """Put weights with zeros for what goes where nothing can be refitted."""
    for width in widths:
        ranked.trials[width] = masked(ranked.candidate.others, ranked.gone(width))
    return ranked


def _compensated(
    seen: Sequence[tuple[Read, Moments]], found: Elimination, width: int
) -> Iterator[tuple[ir.Value, np.ndarray]]:
    for (read, moments), rows in zip(seen, found.weights[width], strict=True):
        layer = read.layer
        yield layer.weight, matrices.as_weight(layer, rows[None])
        if layer.bias is not None and not width:
            yield layer.bias, np.zeros_like(readers.contents(layer.bias))
        elif layer.bias is not None:
            lost = (matrices.matrix(layer)[0] - rows) @ (moments.x[0] / moments.count)
            held = readers.contents(layer.bias)
            yield layer.bias, (held + lost.reshape(held.shape)).astype(held.dtype)


class Probing:
    """Runs the rest of a model with the weights of one group changed."""

    def __init__(self, model: ir.Model, context: Context, feeds: Sequence[Feeds]) -> None:
        self._model, self._context, self._feeds = model, context, feeds
        self._outputs = telling(model)

    def run(self, ranked: Sequence[Ranked]) -> None:
        """Fill in what each width that was to be tried costs, and estimate the others."""
        order = shortcuts_first(self._model.graph)
        place = {node: at for at, node in enumerate(order)}
        with self._context.open(self._model, self._outputs) as session:
            expected = [session.run(each) for each in self._feeds]
        wanted = [[each[value.name or ""] for value in self._outputs] for each in expected]
        starts = sorted(ranked, key=lambda one: _start(one, place))
        with Frontier(self._model, order, self._feeds, self._context) as frontier:
            for done, one in enumerate(starts):
                self._context.progress("probing widths", done, len(starts))
                start = _start(one, place)
                if start < len(order) and any(one.trials.values()):
                    frontier.advance(start)
                    self._probe(one, order[start:], frontier.live, wanted)
                one.trials.clear()
                _fill(one)

    def _probe(
        self,
        one: Ranked,
        nodes: Sequence[ir.Node],
        samples: Sequence[Live],
        wanted: Sequence[Sequence[np.ndarray]],
    ) -> None:
        changed = {id(value): value for trial in one.trials.values() for value in trial}
        first = samples[0] | {key: readers.contents(value) for key, value in changed.items()}
        model, inputs = window(self._model, nodes, self._outputs, first.keys())
        retype(model, inputs, [{**first, **live} for live in samples])
        with self._context.load(model) as session:
            for width, trial in one.trials.items():
                weights = {id(value): array for value, array in trial.items()}
                found = Distance(len(self._outputs))
                for live, target in zip(samples, wanted, strict=True):
                    given = {**first, **live, **weights}
                    found.add(target, self._run(session, inputs, given))
                    rest(live.values())
                one.costs[width] = found.value

    def _run(self, session: Session, inputs: Sequence[ir.Value], given: Live) -> list[np.ndarray]:
        found = session.run({value.name or "": given[id(value)] for value in inputs})
        return [found[value.name or ""] for value in self._outputs]


def _start(one: Ranked, place: Mapping[ir.Node, int]) -> int:
    nodes = [read.layer.node for read in one.candidate.reads]
    nodes += [member.node for member in one.candidate.others if member.node is not None]
    return min((place[node] for node in nodes if node in place), default=len(place))


def _fill(one: Ranked) -> None:
    """Estimate the cost of every width from those tried, by the errors that the readers see.

    The ratio of cost to error is interpolated over the logarithm of the error, and constant beyond.
    """
    errors = one.losses()
    tried = [
        (math.log(errors[width]), math.log(cost / errors[width]))
        for width, cost in one.costs.items()
        if 0 < cost < math.inf and errors[width] > 0
    ]
    tried.sort()
    for width, lost in errors.items():
        if width in one.costs:
            continue
        if lost <= 0 or not tried:
            one.costs[width] = lost
            continue
        ratio = np.interp(math.log(lost), [x for x, _ in tried], [y for _, y in tried])
        one.costs[width] = lost * math.exp(float(ratio))
    one.costs[one.candidate.widths[0]] = 0.0
