"""The measurements of a deployment, each a stage that is kept once it has told something."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from onnxopt import catalogue
from onnxopt.deployer.commands import Commands
from onnxopt.deployer.report import Opening
from onnxopt.deployer.request import Request
from onnxopt.deployer.stages import Result, Stages, file_hash
from onnxopt.deployer.timing import timed, told
from onnxopt.deployer.ways import openings, way_of, ways_to_open
from onnxopt.deployer.words import at_stage
from onnxopt.host import Host
from onnxopt.measure.run import Progress
from onnxopt.target import Feeds

Part = Callable[[str, float, float], Progress]
"""Returns what shows the progress of a stage of a name, from one share of the whole to another."""


class Clock:
    """Measures files of a deployment; ``key`` is what all its stages depend on."""

    def __init__(
        self,
        request: Request,
        stages: Stages,
        commands: Commands,
        part: Part,
        key: tuple[object, ...],
        feeds: Callable[[], list[Feeds]],
    ) -> None:
        self._request, self._stages, self._commands = request, stages, commands
        self._part, self._key, self._feeds = part, key, feeds
        self.unsteady: list[str] = []
        """How steady the machine was."""
        self.others = 0.0
        """The largest share of the processors that others took."""

    def timed(
        self,
        part: str,
        files: Mapping[str, Path],
        named: Mapping[str, str],
        span: tuple[float, float],
    ) -> Result:
        """Measure files on the targets ``named``, beside the first of them."""
        asked = self._request
        found = self._stages.do(
            part,
            (*self._key, *files, *map(file_hash, files.values()), *named.values()),
            lambda: timed(
                files,
                {label: catalogue.backend(text) for label, text in named.items()},
                self._feeds(),
                (asked.budget_s, asked.seed),
                self._part(part, *span),
            ),
            keeps=told,
            anew=asked.again,
        )
        self.unsteady += at_stage(part, found["unsteady"])
        self.others = max(self.others, found["others"])
        return found

    def repeat(self, files: Iterable[Path], targets: Iterable[str]) -> None:
        """Keep the command that measures the same, which compares within one target."""
        once = (list(dict.fromkeys(files)), list(dict.fromkeys(targets)))
        self._commands.bench(*once, self._request.budget_s)

    def way(self, file: Path, target: str) -> tuple[str, str, tuple[Opening, ...]]:
        """Return how to open a session on a file, why, and what was measured."""
        ways = ways_to_open(target, Host.here().cores)
        if not self._request.measure or len(ways) == 1:
            return target, "what was asked for; other ways to open it were not measured", ()
        named = {label: label for label in ways}
        found = self.timed("ways to open", dict.fromkeys(ways, file), named, (0.85, 0.95))
        self.repeat([file], ways)
        measured = openings(found["rows"], {label: way.means for label, way in ways.items()})
        return *way_of(measured, target), measured

    def shipped(
        self, first: tuple[str, Path], chosen: tuple[str, Path], usual: str, session: str
    ) -> tuple[Opening, ...]:
        """Measure a file as it opens, and the first one opened so, beside the first one.

        Nothing where it opens as is ``usual``, or is the first one itself.
        """
        if session == usual or chosen == first:
            return ()
        also = f"the {first[0]} one opened so"
        files = dict([first, (also, first[1]), chosen])
        named = {first[0]: self._request.target, also: session, chosen[0]: session}
        found = self.timed("as it ships", files, named, (0.95, 1.0))
        rows = {label: row for label, row in found["rows"].items() if label != first[0]}
        return openings(rows, {also: also, chosen[0]: "as it ships"}, named)
