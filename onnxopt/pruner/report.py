"""What a pruning did: readable on a console, by a machine, and as a page."""

from __future__ import annotations

import dataclasses
import io
import math
from typing import TYPE_CHECKING, Any, Literal

from onnxopt.comparison.scores import Change
from onnxopt.comparison.words import change_text
from onnxopt.contents import Contents, content_rows
from onnxopt.measure.intervals import Estimate
from onnxopt.plain import plain
from onnxopt.pruning.options import Ratios
from onnxopt.render import Paper

if TYPE_CHECKING:
    from onnxopt.page import Page

Of = Literal["macs", "params", "bytes", "latency"]
NAMES = {
    "macs": "multiply-adds",
    "params": "parameters",
    "bytes": "bytes of weights",
    "latency": "latency",
}
_SHOWN = 60
"""Groups that a console shows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupRow:
    """A group of channels that goes together."""

    name: str
    before: int
    after: int
    cost: float
    """What is lost with this group alone as small as it became and what reads it compensated: of
    the outputs, a share of their energy; of what reads it; or of the group's importance."""
    costs: dict[int, float]
    """The same for every width that was considered."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerRow:
    """A layer that was refitted: its error over the variance of what it should compute."""

    name: str
    before: float
    after: float


@dataclasses.dataclass(kw_only=True)
class PruneReport:
    """What was removed, what it costs and gains."""

    model: str
    """Its file, or the name of its graph."""
    target: str
    of: Of
    share: float
    """What was to be left of the amount."""
    left: float
    """What is left; of a latency, as it was measured while widths were sought."""
    reached: bool
    """Whether what is left is at most 3 % more than asked for."""
    ratios: Ratios
    """What told how much of each group was to go, and so what a group's cost is."""
    options: dict[str, Any]
    """How channels were chosen: importance, recovery, limits, seed."""
    groups: list[GroupRow]
    layers: list[LayerRow]
    blocked: dict[str, str]
    """Groups that may not shrink, and why."""
    before: Contents
    after: Contents
    fitted_on: int
    compared_on: int
    sqnr_db: float | None = None
    """Signal over error of the worst output on samples held back."""
    agreement: float | None = None
    """How often the largest element of that output stays the largest."""
    accuracy: Change | None = None
    """A metric on the samples held back, where they have labels or one was asked for."""
    latency: Estimate | None = None
    """Over that of the optimized model."""
    verdict: str = ""
    warnings: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, which has no infinity."""
        found: dict[str, Any] = plain(dataclasses.asdict(self))
        return found

    def __str__(self) -> str:
        page = io.StringIO()
        self.render(Paper(page))
        return page.getvalue()

    def to_page(self) -> Page:
        """Put it on a page."""
        from onnxopt.pruner.page import page_of

        return page_of(self)

    def render(self, paper: Paper) -> None:
        """Write the table of groups, totals, and what the outputs keep."""
        thinned = [row for row in self.groups if row.after < row.before]
        rows = [[row.name, str(row.before), str(row.after), cost_text(row)] for row in self.groups]
        paper.table([["channels of", "before", "after", self.cost_head], *rows[:_SHOWN]])
        if len(rows) > _SHOWN:
            paper.line(f"and {len(rows) - _SHOWN} more groups; --json has all")
        paper.line()
        paper.table([["", "before", "after", "left"], *self.totals()])
        paper.line()
        paper.line(self.aim)
        for line in self.remarks():
            paper.line(line)
        paper.line(
            f"{len(thinned)} of {len(self.groups)} groups are smaller; fitted on "
            f"{self.fitted_on} samples"
        )

    @property
    def cost_head(self) -> str:
        """What the cost of a group is, in words."""
        return {
            "outputs": "output error alone",
            "layers": "error of what reads it",
            "importance": "importance gone",
            "uniform": "error of what reads it",
        }[self.ratios]

    @property
    def aim(self) -> str:
        """What was asked for and what came of it, in words."""
        now = self.left if self.latency is None or self.of != "latency" else self.latency.value
        left = f"{100 * now:.1f} % of its {NAMES[self.of]} are left"
        return f"{left}; {100 * self.share:.1f} % were asked for"

    def totals(self) -> list[list[str]]:
        """Return the rows of the table of amounts."""
        found = content_rows(self.before, self.after)
        if self.latency is not None:
            low, high = self.latency.low, self.latency.high
            span = f"{self.latency.value:.3f} ({low:.3f} to {high:.3f})"
            found.append(["latency", "1", span, f"{100 * self.latency.value:.1f} %"])
        return found

    def remarks(self) -> list[str]:
        """Return what is to be known of the result, in sentences."""
        found = []
        if self.sqnr_db is not None and math.isfinite(self.sqnr_db):
            same = (
                ""
                if self.agreement is None
                else (f", {100 * self.agreement:.1f} % of decisions as before")
            )
            found.append(
                f"outputs: {self.sqnr_db:.1f} dB signal over error{same}, on "
                f"{self.compared_on} samples held back"
            )
        if self.accuracy is not None:
            found.append(change_text(self.accuracy))
        reasons: dict[str, int] = {}
        for reason in self.blocked.values():
            reasons[reason] = reasons.get(reason, 0) + 1
        for reason, count in list(reasons.items())[:8]:
            stay = "1 group stays" if count == 1 else f"{count} groups stay"
            found.append(f"{stay} whole: {reason}")
        found += [f"note: {note}" for note in self.notes]
        if self.verdict:
            found.append(f"latency: {self.verdict}")
        return found


def cost_text(row: GroupRow) -> str:
    """Return what a group costs as a share."""
    return "-" if row.after == row.before else f"{100 * row.cost:.2f} %"
