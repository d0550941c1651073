"""What is said about what was found."""

from __future__ import annotations

import dataclasses
import io
import json
import math

import pytest

from onnxopt.host import Host
from onnxopt.measure.intervals import Estimate
from onnxopt.measure.load import Quiet, Watch
from onnxopt.measure.percentiles import Percentile
from onnxopt.measure.report import BenchReport, Row
from onnxopt.measure.text import time_text
from onnxopt.measure.verdict import detectable, verdict
from onnxopt.render import Paper


def logs(value: float, low: float, high: float) -> Estimate:
    return Estimate(math.log(value), math.log(low), math.log(high))


LEVEL = logs(1.0, 0.99, 1.01)


@pytest.mark.parametrize(
    ("ratio", "noise", "said"),
    [
        (logs(0.85, 0.83, 0.87), LEVEL, "faster by 15.0 % (95 %: 13.0 to 17.0)"),
        (logs(1.2, 1.1, 1.3), LEVEL, "slower by 20.0 % (95 %: 10.0 to 30.0)"),
        (
            logs(0.99, 0.97, 1.02),
            LEVEL,
            "no difference that could be measured (smaller",
        ),
        (logs(0.97, 0.96, 0.98), logs(1.03, 0.9, 1.1), "no difference that could be told"),
        (logs(0.969, 0.953, 0.985), logs(0.99, 0.968, 1.01), "no difference that could be told"),
        (logs(0.967, 0.953, 0.985), logs(0.99, 0.968, 1.01), "faster by 3.3 %"),
        (logs(0.97, 0.96, 0.98), logs(1.03, 1.02, 1.04), "no difference that could be told"),
        (logs(1.008, 1.005, 1.011), LEVEL, "no difference that could be told"),
        (logs(0.97, 0.96, 0.98), None, "faster by 3.0 %"),
        (logs(1.0, 0.2, 5.0), LEVEL, "too noisy or too short"),
        (logs(1.0, 0.8, 1.25), LEVEL, "too noisy or too short"),
        (logs(1.0, 0.99, 1.01), logs(1.0, 0.7, 1.3), "too noisy or too short"),
    ],
)
def test_verdicts(ratio: Estimate, noise: Estimate | None, said: str) -> None:
    assert verdict(ratio, noise).text.startswith(said)


@pytest.mark.parametrize(
    ("ratio", "noise", "bound"),
    [
        (logs(1.05, 0.98, 1.12), LEVEL, "12.0"),
        (logs(1.0, 0.97, 1.03), LEVEL, "4.4"),
        (logs(1.0, 0.97, 1.03), logs(1.0, 0.9, 1.1), "11.1"),
    ],
)
def test_one_bound_is_told(ratio: Estimate, noise: Estimate, bound: str) -> None:
    said = f"no difference that could be measured (smaller than {bound} %)"
    assert verdict(ratio, noise).text == said


def test_the_detectable_effect_is_wider_than_the_interval_and_the_noise() -> None:
    assert detectable(logs(1, 0.98, 1 / 0.98), LEVEL) > 0.02
    assert detectable(LEVEL, logs(1.2, 1.1, 1.3)) >= 0.2 - 1e-9


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (1.5, "1.5 s"), (0.0123, "12.3 ms"), (4.2e-5, "42 us")]
)
def test_times_have_three_digits_and_a_unit(seconds: float | None, text: str) -> None:
    assert time_text(seconds) == text


def row(label: str, **changes: object) -> Row:
    plain = Row(
        label=label,
        model=f"{label}.onnx",
        backend="cpu",
        provider="cpu",
        threads=0,
        launches=3,
        runs=120,
        median=Estimate(0.002, 0.0019, 0.0021),
        percentiles=(Percentile(share=0.9, value=0.0025, low=0.0024, high=0.0027),),
        open_s=0.03,
        first_s=0.004,
        peak_bytes=100_000_000,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def report() -> BenchReport:
    ratio = Estimate(0.85, 0.83, 0.87)
    return BenchReport(
        rows=(
            row("a", noise=Estimate(1.0, 0.99, 1.01)),
            row("b", ratio=ratio, verdict="faster by 15.0 %", fallbacks=("CPUExecutionProvider",)),
            row("c", error="crashed", median=None, percentiles=(), peak_bytes=0),
        ),
        host=Host.here(),
        quiet=Quiet(others=0.5, steal=0.0),
        warnings=("other processes took 50 % of the cores: stop them",),
        notes=("took 9.0 s",),
        seconds=9.0,
        seed=0,
        interrupted=True,
    )


def test_the_table_says_all_there_is_to_say() -> None:
    stream = io.StringIO()
    report().render(Paper(stream))
    text = stream.getvalue()
    for part in (
        *("0.850", "0.830 to 0.870", "b: faster by 15.0 %", "c: crashed"),
        *("b: some nodes run on CPUExecutionProvider", "against itself is 0.990 to 1.010"),
        *("interrupted", "warning: other processes took 50 %", "2 ms", "100 MB"),
        *("360 runs, 3 processes each", "note: took 9.0 s"),
    ):
        assert part in text
    assert "p90 is left out" not in text


def test_few_runs_have_no_p90_and_say_so() -> None:
    few = dataclasses.replace(report(), rows=(row("a", runs=1, launches=1, percentiles=()),))
    assert "p90 is left out: it needs at least 36 runs" in str(few)
    assert "1 run, 1 process each" in str(few)


def test_json_holds_every_row_and_the_host() -> None:
    read = json.loads(report().to_json())
    assert [entry["label"] for entry in read["rows"]] == ["a", "b", "c"]
    assert read["rows"][1]["ratio"]["low"] == 0.83
    assert read["host"]["versions"]["numpy"]


def test_a_busy_machine_is_told() -> None:
    assert Quiet(others=0.0, steal=0.0).warnings() == []
    busy, stolen = Quiet(others=0.3, steal=0.1).warnings()
    assert "30 %" in busy
    assert "10 %" in stolen
    seen = Watch().read()
    assert seen.others >= 0
    assert seen.steal >= 0
