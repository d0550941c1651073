"""The best of several is measured again, and what is disturbed or too busy is not believed."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path

import pytest

from onnxopt.measure import Effort, Variant, bench
from onnxopt.measure.load import Meter, Quiet
from onnxopt.measure.records import Block, Group, Record
from onnxopt.measure.rows import Reading, rows_of
from tests.measure.fakes import Fake

EFFORT = Effort(launches=2, blocks=4, block_s=0.02, warm_s=0.1, timeout_s=30)
CALM = Quiet(others=0.0, steal=0.0)


def fake(label: str, seconds: float) -> Variant:
    return Variant(label=label, model=Path("none.onnx"), backend=Fake(seconds=seconds))


def recorded(variant: Variant, *seconds: float) -> Record:
    """Return a record of processes whose blocks all took so long."""
    record = Record(variant)
    for value in seconds:
        record.launches.append({at: Block([value] * 8, 8 * value, 0.0) for at in range(4)})
    return record


def group(folder: Path, *records: Record) -> Group:
    feeds = folder / "feeds"
    feeds.write_bytes(b"")
    twin = dataclasses.replace(records[0])
    return Group(list(records), feeds, 1, twin)


def test_the_best_of_several_is_measured_again() -> None:
    variants = [fake("a", 0.004), fake("b", 0.0038), fake("c", 0.001)]
    report = bench(variants, feeds=[{}], effort=EFFORT, force=True)
    first, second, third = report.rows
    assert first.chosen is None
    assert second.chosen is None
    assert third.chosen is not None
    assert third.ratio is not None
    assert third.ratio != third.chosen.ratio
    assert third.chosen.median is not None
    again = r"best of several: [\d.]+, then [\d.]+ by itself; .*; medians of the second, .*s to .*s"
    assert re.search(again, third.again)
    assert third.outcome == "faster"


def test_of_two_nothing_is_chosen() -> None:
    report = bench([fake("a", 0.004), fake("b", 0.001)], feeds=[{}], effort=EFFORT, force=True)
    assert report.rows[1].chosen is None
    assert not report.rows[1].again


def test_the_second_figure_is_the_verdict_and_the_interval_holds_both(tmp_path: Path) -> None:
    base, lucky, other = fake("a", 1), fake("b", 1), fake("c", 1)
    flat = (0.0100, 0.0101, 0.0099, 0.0100, 0.0100)
    first = group(
        tmp_path,
        recorded(base, *flat),
        recorded(lucky, *(0.95 * s for s in flat)),
        recorded(other, *flat),
    )
    again = group(tmp_path, recorded(base, *flat), recorded(lucky, *flat[::-1]))
    reading = Reading(looks=False, quiet=CALM, force=False)
    row = rows_of(first, again, reading)[1]
    assert row.chosen is not None
    assert row.chosen.ratio.value == pytest.approx(0.95)
    assert row.outcome == "same"
    assert row.chosen.second.value == pytest.approx(1.0)
    assert row.ratio == row.chosen.second
    assert "by itself; which counts" in row.again
    slower = [0.97 * s for s in flat]
    again = group(tmp_path, recorded(base, *flat), recorded(lucky, *slower))
    row = rows_of(first, again, reading)[1]
    assert row.outcome == "faster"
    assert row.ratio is not None
    assert row.ratio.low <= 0.95 < row.ratio.value < 0.97 <= row.ratio.high
    assert f"{100 * (1 - row.ratio.value):.1f} %" in row.verdict
    unfinished = group(tmp_path, Record(base), Record(lucky))
    row = rows_of(first, unfinished, reading)[1]
    assert row.outcome == "unknown"
    assert "not finished" in row.verdict


def test_what_was_cut_short_is_not_claimed(tmp_path: Path) -> None:
    base, lucky, other = fake("a", 1), fake("b", 1), fake("c", 1)
    flat = (0.0100, 0.0101, 0.0099, 0.0100, 0.0100)
    several = group(
        tmp_path,
        recorded(base, *flat),
        recorded(lucky, *(0.8 * s for s in flat)),
        recorded(other, *flat),
    )
    cut = Reading(looks=False, quiet=CALM, force=False, cut=True)
    row = rows_of(several, None, cut)[1]
    assert row.outcome == "unknown"
    assert "measured again first" in row.verdict
    whole = Reading(looks=False, quiet=CALM, force=False)
    assert rows_of(several, None, whole)[1].outcome == "faster"
    one = group(tmp_path, recorded(base, 0.01), recorded(lucky, 0.005))
    row = rows_of(one, None, cut)[1]
    assert (row.outcome, "after one process, where 5" in row.verdict) == ("unknown", True)


@pytest.mark.parametrize(
    ("others", "force", "outcome"),
    [(0.8, False, "unknown"), (0.8, True, "faster"), (0.3, False, "faster")],
)
def test_on_a_busy_machine_nothing_is_claimed(
    tmp_path: Path, others: float, force: bool, outcome: str
) -> None:
    flat = (0.0100, 0.0101, 0.0099, 0.0100, 0.0100)
    both = group(
        tmp_path,
        recorded(fake("a", 1), *flat),
        recorded(fake("b", 1), *(0.8 * second for second in flat)),
    )
    quiet = Quiet(others=others, steal=0.0)
    row = rows_of(both, None, Reading(looks=False, quiet=quiet, force=force))[1]
    assert row.outcome == outcome
    assert row.ratio is not None
    assert ("too busy" in row.verdict) is (outcome == "unknown")


def test_disturbed_rounds_are_forgotten_where_enough_are_left(tmp_path: Path) -> None:
    one, two = recorded(fake("a", 1), 0.01), recorded(fake("b", 1), 0.01)
    both = group(tmp_path, one, two)
    both.twin = None
    both.settle({1}, 4)
    assert sorted(one.launches[-1]) == sorted(two.launches[-1]) == [0, 2, 3]
    assert (both.disturbed, both.rounds) == (1, 4)
    both.settle({0, 2}, 4)
    assert sorted(two.launches[-1]) == [0, 2, 3]


def test_what_others_take_of_the_cpus_is_metered() -> None:
    meter = Meter()
    stop = time.monotonic() + 0.2
    while time.monotonic() < stop:
        pass
    assert meter.others(0.0) <= 1.05  # what this process takes is not others'
    assert meter.others(1000.0) < 0 or not Path("/proc/stat").exists()
