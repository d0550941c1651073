"""The page of a measurement: what it draws, says and leaves out."""

from __future__ import annotations

import dataclasses

from onnxopt.host import Host
from onnxopt.measure.intervals import Estimate
from onnxopt.measure.load import Quiet
from onnxopt.measure.page import page_of
from onnxopt.measure.percentiles import Percentile
from onnxopt.measure.report import BenchReport, Row
from tests.page.reading import Reading

HOST = Host(
    cpu="Test CPU",
    flags=("avx2",),
    cores=2,
    governor="",
    system="Linux",
    versions={"onnxruntime": "1.30"},
)
BASE = Row(
    label="a.onnx",
    model="models/a.onnx",
    backend="cpu{threads=2}",
    provider="cpu",
    threads=2,
    launches=5,
    runs=500,
    median=Estimate(2e-3, 1.9e-3, 2.1e-3),
    percentiles=(Percentile(share=0.9, value=2.2e-3, low=2.1e-3, high=2.3e-3),),
    sample=(1.9e-3, 2e-3, 2.1e-3),
    open_s=0.1,
    first_s=4e-3,
    peak_bytes=50_000_000,
    noise=Estimate(1.0, 0.99, 1.01),
)
OTHER = dataclasses.replace(
    BASE,
    label="b.onnx",
    model="models/b.onnx",
    median=Estimate(1e-3, 0.9e-3, 1.1e-3),
    baseline="a.onnx",
    ratio=Estimate(0.5, 0.48, 0.52),
    noise=None,
    outcome="faster",
    verdict="faster by 50.0 % (95 %: 48.0 to 52.0)",
)
BROKEN = Row(
    label="c.onnx", model="c.onnx", backend="cpu", provider="cpu", threads=2, error="it crashed"
)


def reading(*rows: Row, command: tuple[str, ...] = (), warnings: tuple[str, ...] = ()) -> Reading:
    """Return the page of a report of these rows, as read."""
    report = BenchReport(
        rows=rows,
        host=HOST,
        quiet=Quiet(others=0.05, steal=0.0),
        warnings=warnings,
        notes=(),
        seconds=12.0,
        seed=3,
        interrupted=False,
    )
    return Reading(page_of(report, command).to_html())


def said(page: Reading) -> str:
    """Return all words of a page."""
    return " ".join(page.words)


def test_it_says_what_was_found_and_where() -> None:
    page = reading(BASE, OTHER, BROKEN, command=("onnxopt", "bench", "my models/a.onnx"))
    for words in (
        "Latency of a.onnx and b.onnx and c.onnx",
        "1000 runs in 5 processes a model, 12.0 s, on 2 cores of Test CPU.",
        "faster by 50.0 % (95 %: 48.0 to 52.0)",
        "c.onnx: it crashed",
        "0.500 of a.onnx",
        "2.1 ms to 2.3 ms",
        "onnxopt bench 'my models/a.onnx'",
        "onnxruntime 1.30",
        "5.0 % of the cores",
    ):
        assert words in said(page)
    assert "say problem" in page.values("class")


def test_it_draws_ratios_with_the_noise_floor_and_distributions() -> None:
    page = reading(BASE, OTHER)
    assert page.tags.count("figure") == 2
    assert "noise floor: the baseline against itself" in said(page)
    assert {"0.5000", "0.4800", "0.5200", "0.9900", "1.0100"} <= set(page.words)


def test_one_model_has_no_ratios() -> None:
    page = reading(BASE)
    assert "Ratio to the baseline" not in said(page)
    assert page.tags.count("figure") == 1


def test_nothing_measured_is_still_a_page() -> None:
    page = reading(BROKEN, warnings=("busy",))
    assert page.tags.count("figure") == 0
    assert "busy" in said(page)


def test_time_is_drawn_against_what_was_varied() -> None:
    rows = [
        dataclasses.replace(
            row, label=f"{row.label} {batch} {threads}", batch=batch, threads=threads
        )
        for row in (BASE, OTHER)
        for batch in (1, 4)
        for threads in (1, 2)
    ]
    page = reading(*rows)
    assert "Time against batch" in said(page)
    assert "Time against threads" in said(page)
    assert "Time against streams" not in said(page)
    assert {"a.onnx, threads 1", "b.onnx, batch 4"} <= set(page.words)
    assert "a.onnx 1 1 against itself" in page.words


def test_variants_that_share_a_name_have_lines_of_their_own() -> None:
    rows = [
        dataclasses.replace(BASE, label=f"{model} {batch}", model=model, batch=batch)
        for model in ("/one/model.onnx", "/two/model.onnx")
        for batch in (1, 8)
    ]
    words = set(reading(*rows).words)
    assert {"one/model.onnx", "two/model.onnx"} <= words
    targets = [
        dataclasses.replace(BASE, label=f"{target} {batch}", backend=target, batch=batch)
        for target in ("cuda{threads=1}", "cuda{threads=1, io-binding=true}")
        for batch in (1, 8)
    ]
    words = set(reading(*targets).words)
    assert {"a.onnx, cuda", "a.onnx, cuda{io-binding=true}"} <= words


def test_throughput_and_time_on_the_device_are_told() -> None:
    row = dataclasses.replace(
        BASE, streams=4, throughput=Estimate(900.0, 890.0, 910.0), device=Estimate(1e-3, 9e-4, 2e-3)
    )
    page = reading(row)
    assert "throughput over 4 streams" in page.words
    assert {"900 runs/s", "1 ms", "0.9 to 2"} <= set(page.words)
