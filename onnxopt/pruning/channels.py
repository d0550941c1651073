"""Prune whole channels: rank, probe, allocate, refit, cut."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from onnxopt import graph
from onnxopt.base import Context
from onnxopt.coupling import couple
from onnxopt.errors import ModelError, UsageError, VerificationError
from onnxopt.layers import matrices, readers
from onnxopt.pruning.amounts import Gauge
from onnxopt.pruning.candidates import Candidate, candidates, check_names, masked
from onnxopt.pruning.choice import REACHED, Choice, Gone, Request, shrink
from onnxopt.pruning.frontier import Shelf
from onnxopt.pruning.outputs import Distance, telling
from onnxopt.pruning.recovery import Recovery, Refitted
from onnxopt.pruning.sensitivity import Ranked
from onnxopt.target import Feeds

_COMPARED = 4
_SAME = 1e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thinned:
    """A group as it was and is."""

    name: str
    before: int
    after: int
    costs: dict[int, float]
    """What the outputs lose when this group alone shrinks, by width: a share of their energy."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was done."""

    groups: tuple[Thinned, ...]
    refitted: tuple[Refitted, ...]
    unfitted: tuple[str, ...]
    """Operators and names of nodes that read fewer channels and cannot be refitted."""
    blocked: tuple[tuple[str, str], ...]
    """Groups that may not shrink, and why."""
    before: float
    after: float
    """The amount that was to fall."""
    reached: bool
    """Whether it fell as far as asked."""

    @property
    def changed(self) -> int:
        """How many groups shrank."""
        return sum(group.after < group.before for group in self.groups)


Permit = Callable[[str], bool]
"""Takes the name of a group and says whether it may shrink."""


def _all(name: str) -> bool:
    del name
    return True


def prune(
    model: ir.Model, request: Request, gauge: Gauge, context: Context, permit: Permit = _all
) -> Outcome:
    """Remove channels from a model in place until only the share asked for of an amount is left.

    The model has to say the types and shapes of its values. Raises UsageError without samples,
    VerificationError where the model without the channels does not compute what it computes with
    them at zero.
    """
    return _Pruning(model, request, gauge, context, permit).run()


class _Pruning:
    def __init__(
        self, model: ir.Model, request: Request, gauge: Gauge, context: Context, permit: Permit
    ) -> None:
        self._model, self._request, self._context, self._permit = model, request, context, permit
        self._gauge = gauge
        self._groups = couple(model).groups
        check_names(model, self._groups, request.limits)
        self._found = candidates(self._groups, request.limits)
        self._before = gauge.measured(model)
        self._costs: dict[str, dict[int, float]] = {}
        self._allowed: dict[str, bool] = {}

    def run(self) -> Outcome:
        """Shrink step by step with zeros in the place of what is gone, and cut in the end."""
        if not self._found:
            return self._outcome({}, ())
        with tempfile.TemporaryDirectory(prefix="onnxopt-") as folder:
            gone, refitted = self._thinned(self._feeds(Shelf(Path(folder))))
        return self._outcome(gone, refitted)

    def _thinned(self, feeds: Sequence[Feeds]) -> tuple[Gone, Sequence[Refitted]]:
        """Choose, refit and cut; return the units that are gone and the layers refitted."""
        if not telling(self._model):
            raise ModelError(
                "no output of the model is of floating point: nothing tells what is lost"
            )
        found, before = self._found, self._before
        thin = self._model.clone()
        gone: Gone = {one.name: np.empty(0, int) for one in found}
        refitted: Sequence[Refitted] = ()
        for step in range(1, self._request.steps + 1):
            share = self._request.share ** (step / self._request.steps)
            choice = Choice(thin, self._request, self._gauge, self._context)
            ranked, widths = choice.run(feeds, before, share, gone)
            for one in ranked:
                self._costs.setdefault(one.candidate.name, dict(sorted(one.costs.items())))
            shrunk = [one for one in ranked if self._shrinks(one, widths)]
            gone = {**gone, **{o.candidate.name: o.gone(widths[o.candidate.name]) for o in shrunk}}
            refitted = self._thin_out(thin, ranked, gone, feeds) if shrunk else refitted
        if any(len(units) for units in gone.values()):
            self._cut(thin, gone, feeds[:_COMPARED])
        return gone, refitted

    def _feeds(self, shelf: Shelf) -> list[Feeds]:
        if self._context.samples is None:
            raise UsageError("pruning needs samples: pass a folder or a file of them")
        feeds: list[Feeds] = [
            {name: shelf.put(array) for name, array in each.items()}
            for each in self._context.samples
        ]
        if not feeds:
            raise ModelError("pruning: there are no samples; check the path of the samples")
        return feeds

    def _shrinks(self, one: Ranked, widths: Mapping[str, int]) -> bool:
        name = one.candidate.name
        if widths[name] >= one.candidate.widths[0]:
            return False
        if name not in self._allowed:
            self._allowed[name] = self._permit(name)
        return self._allowed[name]

    def _thin_out(
        self, thin: ir.Model, ranked: Sequence[Ranked], gone: Gone, feeds: Sequence[Feeds]
    ) -> Sequence[Refitted]:
        """Set to zero what reads units that are gone, and refit the rest."""
        kept = _mask(thin, [one.candidate for one in ranked], gone)
        if self._request.recover == "none":
            return ()
        recovery = Recovery(self._model, thin, kept, self._context, self._request.recover)
        return recovery.run(feeds)

    def _cut(self, thin: ir.Model, gone: Gone, feeds: Sequence[Feeds]) -> None:
        """Take the units away; on the feeds the model has to compute what it did before.

        Without the groups that normalisations take statistics over, which change what they compute.
        """
        exact = [one for one in self._found if one.exact and len(gone[one.name])]
        if exact:
            trial = thin.clone()
            shrink(trial, exact, gone)
            self._compare(thin, trial, feeds)
        shrink(thin, self._found, gone)
        self._model.graph = thin.graph

    def _compare(self, whole: ir.Model, thin: ir.Model, feeds: Sequence[Feeds]) -> None:
        wanted, now = telling(whole), telling(thin)
        found = Distance(len(wanted))
        with self._context.open(whole, wanted) as one, self._context.open(thin, now) as other:
            for each in feeds:
                before, after = one.run(each), other.run(each)
                found.add(
                    [before[value.name or ""] for value in wanted],
                    [after[value.name or ""] for value in now],
                )
        if found.value > _SAME:
            raise VerificationError(
                f"without its channels the model computes something else (a share of "
                f"{found.value:.1e} of its outputs' energy): a fault of onnxopt, please report it"
            )

    def _outcome(self, gone: Gone, refitted: Sequence[Refitted]) -> Outcome:
        before = self._before
        after = self._gauge.measured(self._model) if gone else before
        inside = self._inside(gone)
        return Outcome(
            groups=tuple(
                Thinned(
                    name=group.name,
                    before=group.units,
                    after=0 if group.name in inside else group.units - len(gone[group.name]),
                    costs=self._costs[group.name],
                )
                for group in self._groups
                if group.name in self._costs
            ),
            refitted=tuple(refitted),
            unfitted=tuple(self._unfitted(gone)),
            blocked=tuple(self._whole(gone)),
            before=before,
            after=after,
            reached=after <= (1 + REACHED) * self._request.share * before,
        )

    def _unfitted(self, gone: Gone) -> Iterator[str]:
        """Tell the nodes that read units that are gone with weights that stay what they were."""
        shrunk = [one for one in self._found if len(gone.get(one.name, ()))]
        nodes = {m.node for one in shrunk for m in one.others if m.node is not None}
        for node in self._model.graph:
            if node in nodes:
                yield f"{node.op_type} '{node.name or node.outputs[0].name}'"

    def _inside(self, gone: Gone) -> set[str]:
        """Return the groups all of whose layers lie in branches that are gone."""
        ended = [one for one in self._found if len(gone.get(one.name, ())) == one.group.units]
        nodes = {node for one in ended for each in one.branches for node in each.nodes}
        return {
            group.name
            for group in self._groups
            if nodes and all(m.node in nodes for m in group.members if m.node is not None)
        }

    def _whole(self, gone: Gone) -> Iterator[tuple[str, str]]:
        for group in self._groups:
            if group.blocked is not None:
                yield group.name, group.blocked
            elif group.name in gone and group.name not in self._costs:
                over = [f"{name} takes statistics over it" for name in group.normalised[:1]]
                yield group.name, (*over, "weights that several layers share read it, or none")[0]


def _mask(thin: ir.Model, found: Sequence[Candidate], gone: Gone) -> dict[str, np.ndarray]:
    """Set to zero all that reads units that are gone; return which columns of layers stay."""
    kept: dict[str, np.ndarray] = {}
    names = graph.Names(thin)
    for one in found:
        units = gone[one.name]
        for read in one.reads if len(units) else ():
            columns = matrices.matrix(read.layer).shape[-1]
            mask = kept.setdefault(read.layer.weight.name or "", np.ones(columns, bool))
            mask[read.columns[units].reshape(-1)] = False
        members = [read.member for read in one.reads] + list(one.others)
        for member in members if len(units) else ():
            if member.value.is_initializer():
                held = masked([member], units)[member.value]
                member.value.const_value = graph.tensor_of(held)
        for read in one.ends if len(units) == one.group.units else ():
            if read.layer.bias is not None:
                none = np.zeros(readers.contents(read.layer.bias).size)
                readers.set_bias(thin, read.layer, none, names)
    return kept
