"""All findings together, for a person and for a machine."""

from __future__ import annotations

import dataclasses
import io
from collections import Counter

from onnxopt.diagnosis.finding import SEVERITIES, Finding
from onnxopt.plain import json_text
from onnxopt.render import Paper


@dataclasses.dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What was found, in the order in which it was looked at."""

    findings: tuple[Finding, ...]

    @property
    def problem(self) -> bool:
        """Whether something keeps models from running, or from running right."""
        return any(finding.severity == "problem" for finding in self.findings)

    def to_json(self) -> str:
        """Return the findings as JSON."""
        found = [dataclasses.asdict(finding) for finding in self.findings]
        return json_text({"problem": self.problem, "findings": found})

    def __str__(self) -> str:
        page = io.StringIO()
        self.render(Paper(page))
        return page.getvalue()

    def render(self, paper: Paper) -> None:
        """Write what was found by topic, each with what it means and what to do; then the sum."""
        topic = None
        for finding in self.findings:
            if finding.topic != topic:
                topic = finding.topic
                paper.line(topic)
            paper.line(f"  {finding.severity:8} {finding.text}")
            if finding.meaning:
                paper.line(f"           {finding.meaning}")
            if finding.remedy:
                paper.line(f"           -> {finding.remedy}")
        paper.line()
        paper.line(self.summary())

    def summary(self) -> str:
        """Return how many findings of which severity there are: ``1 problem, 2 warnings``."""
        counts = Counter(finding.severity for finding in self.findings)
        parts = [
            f"{counts[each]} {each}{'s' if counts[each] > 1 else ''}"
            for each in reversed(SEVERITIES)
            if counts[each] and each != "ok"
        ]
        return ", ".join(parts) or "nothing to complain of"
