"""Remove whole channels, and what is coupled to them, where the outputs lose least."""

from __future__ import annotations

from typing import ClassVar

import onnx_ir as ir

from onnxopt.base import Context, Pass
from onnxopt.errors import UsageError
from onnxopt.feeds import sizes_of
from onnxopt.pruning.amounts import Counted
from onnxopt.pruning.candidates import Limits
from onnxopt.pruning.channels import prune
from onnxopt.pruning.choice import Request
from onnxopt.pruning.options import Importance, Measure, Ratios, Recover


class Channels(Pass):
    """Remove channels until a share of an amount is left; refit what remains on the samples.

    Channels go whose removal, after the best compensation, costs least of what the next layers
    compute; how many of each group is what costs the outputs least under the common budget; the
    layers left are refitted one by one by least squares to what the whole model computed.
    """

    lossless: ClassVar[bool] = False
    idempotent: ClassVar[bool] = False
    needs_samples: ClassVar[bool] = True

    share: float = 0.5
    """What is left of the amount."""
    of: Measure = "macs"
    importance: Importance = "reconstruction"
    ratios: Ratios = "outputs"
    recover: Recover = "refit"
    only: tuple[str, ...] = ()
    """Patterns of node, weight and group names: nothing else is pruned."""
    skip: tuple[str, ...] = ()
    """Patterns of what stays."""
    multiple: int = 1
    """Channels that are left of a group that shrinks are a multiple of this."""
    least: float = 0.1
    """The share of its channels that every group keeps."""
    branches: bool = False
    """A residual branch may go as a whole."""
    steps: int = 1
    """In how many steps the share is reached, each ranked and refitted anew."""

    def run(self, model: ir.Model, context: Context) -> int:
        """Return the number of groups that became smaller."""
        if context.samples is None:
            raise UsageError("prune/channels needs samples: pass a folder or a file of them")
        first = next(iter(context.samples), {})
        request = Request(
            share=self.share,
            importance=self.importance,
            ratios=self.ratios,
            recover=self.recover,
            steps=self.steps,
            limits=Limits(
                only=self.only,
                skip=self.skip,
                multiple=self.multiple,
                least=self.least,
                branches=self.branches,
            ),
        )
        gauge = Counted(self.of, sizes_of(model, first))
        name = self.name
        found = prune(model, request, gauge, context, lambda g: context.gate.permit(name, g))
        return found.changed
