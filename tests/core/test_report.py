"""Reports: what they count, and how they read."""

from __future__ import annotations

import io
import json

import pytest

from onnxopt.base import Context
from onnxopt.pipeline import Pipeline
from onnxopt.render import Paper, bytes_text, render_report
from onnxopt.report import Recorder, Report, Size, Verification
from tests.passes.tools import model_of

TEXT = """(float[4] x, bool c) => (float[4] y) <float[4] w = {1, 2, 3, 4}> {
    a = Identity(x) b = Add(a, w) d = local.f(b)
    y = If(c) <then_branch = t () => (float[4] p) <float[2] v = {1, 2}> { p = Identity(d) },
               else_branch = e () => (float[4] q) { q = com.microsoft.Gelu(d) }> }
    <domain: "local", opset_import: ["" : 18]> f (x) => (y) { y = Sin(x) }"""


def made() -> Report:
    """Return the report of a small run."""
    model = model_of(TEXT)
    before, recorder = Size.of(model), Recorder()
    text = "repeat(simplify/identity, dce), cse"
    Pipeline.parse(text).run(model, Context(), [recorder])
    return Report(
        pipeline=text,
        target="cpu",
        before=before,
        after=Size.of(model),
        passes=list(recorder.records.values()),
        seconds=1.5,
        verification=Verification(
            mode="end",
            statement="outputs equal",
            quarantined=["fuse at 'y': output 'y' differs"],
            excused=["output 'z'"],
            reproduction=["out.repro"],
        ),
        contents=None,
        notes=["something to know"],
    )


def test_sizes_count_all_graphs() -> None:
    size = Size.of(model_of(TEXT))
    assert size.nodes == 7
    assert size.weight_bytes == 16 + 8
    assert size.operators == {
        "Identity": 2,
        "Add": 1,
        "local::f": 1,
        "If": 1,
        "com.microsoft::Gelu": 1,
        "Sin": 1,
    }


def test_runs_of_a_pass_are_added_up() -> None:
    records = {record.name: record for record in made().passes}
    assert list(records) == ["simplify/identity", "dce", "cse"]
    assert (records["simplify/identity"].runs, records["simplify/identity"].changes) == (2, 1)
    assert (records["dce"].runs, records["dce"].changes) == (1, 1)
    assert (records["cse"].runs, records["cse"].changes) == (1, 0)
    assert all(record.seconds > 0 for record in records.values())


def test_a_report_is_plain_data() -> None:
    report = made()
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()
    assert report.to_dict()["before"]["nodes"] == 7


def test_a_report_on_a_console() -> None:
    paper = io.StringIO()
    render_report(made(), Paper(paper))
    text = paper.getvalue()
    lines = [line.split() for line in text.splitlines()]
    assert ["Identity", "2", "1"] in lines
    assert ["all", "nodes", "7", "6"] in lines
    assert ["unchanged", "operators", "5", "5"] in lines
    assert ["weights", "24", "B", "16", "B"] in lines
    assert not any(line and line[0] == "cse" for line in lines)
    assert "left out: fuse at 'y': output 'y' differs" in text
    assert "accepted: output 'z'" in text
    assert "something to know" in text
    assert "smallest failing model: out.repro" in text
    table = text.split("\n\n")[0].splitlines()
    assert len({len(line) for line in table}) == 1


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1234, "1.23 kB"),
        (999_999, "1 MB"),
        (25_600_000, "25.6 MB"),
        (3.2e9, "3.2 GB"),
        (5e15, "5000 TB"),
        (-2048, "-2.05 kB"),
    ],
)
def test_bytes(count: float, text: str) -> None:
    assert bytes_text(count) == text
