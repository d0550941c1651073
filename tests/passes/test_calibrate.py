"""Calibration: the ranges are those of the activations, kept in the model, whatever the samples."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime.quantization.calibrate as peer
import pytest

import onnxopt
from onnxopt import catalogue, io, shapes
from onnxopt.base import Context, Gate
from onnxopt.errors import ModelError, SampleError, UsageError
from onnxopt.pipeline import Pipeline
from onnxopt.quantization import ranges
from onnxopt.quantization.calibration import LastCalibration
from onnxopt.quantization.ranges import Range
from onnxopt.samples import Samples
from onnxopt.target import Feeds, Session
from tests.passes import weights
from tests.passes.tools import model_of

NET = """
(float[N,3,H,W] x) => (float[N,8] y)
{
  c = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  r = Relu (c)
  p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
  g = GlobalAveragePool (p)
  f = Flatten (g)
  y = MatMul (f, m)
}
"""


def net() -> ir.Model:
    model = weights.model(
        NET,
        {"w": weights.normal(4, 3, 3, 3), "b": weights.normal(4), "m": weights.normal(4, 8)},
    )
    shapes.infer(model)
    return model


def feeds(count: int = 6, sizes: tuple[int, ...] = (8, 12)) -> Iterator[Feeds]:
    random = np.random.default_rng(1)
    for at in range(count):
        size = sizes[at % len(sizes)]
        yield {
            "x": random.normal(0, 1 + at, (1 + at % len(sizes), 3, size, size)).astype(np.float32)
        }


def context(samples: Samples | None = None, gate: Gate | None = None) -> Context:
    return Context(
        load=catalogue.backend("cpu{threads=1}").open,
        samples=Samples.of(feeds) if samples is None else samples,
        gate=gate or Gate(),
    )


def found(model: ir.Model) -> Mapping[str, Range]:
    made = [value for node in model.graph for value in node.outputs]
    read = {value.name or "": ranges.read(value) for value in (*model.graph.inputs, *made)}
    return {name: kept for name, kept in read.items() if kept is not None}


def calibrated(options: str, given: Context | None = None) -> Mapping[str, Range]:
    model = net()
    Pipeline.parse(f"quantize/calibrate{options}").run(model, given or context())
    return found(model)


class _Reader(peer.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, stream: Iterator[Feeds]) -> None:
        self._stream = stream

    def get_next(self) -> Feeds | None:
        return next(self._stream, None)


def by_peer(folder: Path, method: peer.CalibrationMethod, **options: object) -> Mapping[str, Range]:
    file = folder / "net.onnx"
    io.save(net(), file)
    made = peer.create_calibrator(
        str(file),
        augmented_model_path=str(folder / "augmented.onnx"),
        calibrate_method=method,
        extra_options=options,
    )
    made.collect_data(_Reader(feeds(sizes=(32,))))
    ends = {name: np.ravel(kept.range_value) for name, kept in made.compute_data().items()}
    return {name: Range(low=float(low), high=float(high)) for name, (low, high) in ends.items()}


def test_minmax_is_that_of_the_peer(tmp_path: Path) -> None:
    wanted = by_peer(tmp_path, peer.CalibrationMethod.MinMax)
    ours = calibrated("", context(Samples.of(lambda: feeds(sizes=(32,)))))
    assert ours.keys() == {"x", "r", "p", "g", "f", "y"}
    for name, kept in ours.items():
        assert kept.low == pytest.approx(wanted[name].low, rel=1e-5, abs=1e-6), name
        assert kept.high == pytest.approx(wanted[name].high, rel=1e-5), name


def test_percentile_is_that_of_the_numbers() -> None:
    ours = calibrated("{method=percentile, percentile=99, elements=0}")
    numbers = np.sort(np.concatenate([each["x"].reshape(-1) for each in feeds()]))
    width = 2 * np.abs(numbers).max() / 8192
    low, high = np.quantile(numbers, [0.005, 0.995], method="inverted_cdf")
    assert low - width <= ours["x"].low <= low
    assert high <= ours["x"].high <= high + width


def test_percentile_is_near_the_peers(tmp_path: Path) -> None:
    given = context(Samples.of(lambda: feeds(sizes=(32,))))
    wanted = by_peer(tmp_path, peer.CalibrationMethod.Percentile, percentile=99.0, num_bins=2048)
    ours = calibrated("{method=percentile, percentile=99, elements=0}", given)
    reach = max(-wanted["x"].low, wanted["x"].high)
    assert ours["x"].high == pytest.approx(wanted["x"].high, abs=0.02 * reach)
    assert ours["x"].low == pytest.approx(wanted["x"].low, abs=0.02 * reach)


@pytest.mark.parametrize("method", ["minmax", "moving-average", "percentile", "entropy", "mse"])
def test_samples_may_differ_in_shape(method: str) -> None:
    ours = calibrated(f"{{method={method}}}")
    widest = calibrated("")
    for name, kept in ours.items():
        assert widest[name].low <= kept.low < kept.high <= widest[name].high, name


def test_a_value_that_is_only_moved_shares_the_range() -> None:
    ours = calibrated("")
    assert ours["f"] == ours["g"]


def test_named_values_only() -> None:
    assert calibrated("{values=[c, y]}").keys() == {"c", "y"}
    with pytest.raises(UsageError, match="'q' is no activation"):
        calibrated("{values=q}")


def test_ranges_travel_with_the_file(tmp_path: Path) -> None:
    model = net()
    Pipeline.parse("quantize/calibrate").run(model, context())
    io.save(model, tmp_path / "calibrated.onnx")
    assert found(io.load(tmp_path / "calibrated.onnx")) == found(model)
    onnx.checker.check_model(tmp_path / "calibrated.onnx")


def test_a_denied_range_is_not_written() -> None:
    assert len(calibrated("", context(gate=Gate(limit=2)))) == 2


def test_nan_in_a_sample_is_named() -> None:
    given = list(feeds())
    given[3]["x"][0, 1, 2, 3] = np.nan
    with pytest.raises(ModelError, match="input 'x' holds NaN in sample 4"):
        calibrated("", context(Samples.of(given)))


def test_an_activation_that_is_not_finite_has_no_range() -> None:
    text = "(float[N] x) => (float[N] y) { l = Log (x) s = Sqrt (x) y = Abs (x) }"
    model = model_of(text)
    shapes.infer(model)
    given = [{"x": np.asarray(numbers, np.float32)} for numbers in ([1, 2], [0, 3], [-1, 2])]
    Pipeline.parse("quantize/calibrate").run(model, context(Samples.of(given)))
    assert found(model).keys() == {"x", "y"}
    assert model.meta[ranges.WITHOUT] == [
        "'l' holds infinity in sample 2",
        "'s' holds NaN in sample 3",
    ]


def test_a_bad_sample_is_no_fault_of_a_rewrite(tmp_path: Path) -> None:
    given = list(feeds())
    given[3]["x"][0, 1, 2, 3] = np.nan
    for at, each in enumerate(given):
        np.savez(tmp_path / f"{at}.npz", x=each["x"])
    with pytest.raises(SampleError, match=r"input 'x' holds NaN in .*3\.npz"):
        onnxopt.optimize(net(), samples=tmp_path, pipeline="infer-shapes, quantize/calibrate")


def test_weights_that_callers_may_override_leave_nothing_to_calibrate() -> None:
    model = net()
    model.graph.inputs.extend(model.graph.initializers.values())
    Pipeline.parse("quantize/calibrate").run(
        model, dataclasses.replace(context(), target=catalogue.backend("cpu").target())
    )
    assert not found(model)
    (why,) = ranges.without(model)
    assert "the target computes no layer on integers" in why


class TestLastCalibration:
    """What one calibration has seen serves others, and only where it is the same."""

    @staticmethod
    def opened(
        given: Sequence[tuple[str, ir.Model, Samples]],
    ) -> tuple[int, list[Mapping[str, Range]]]:
        """Calibrate in turn; return how often a model was opened, and the ranges."""
        last, loads, made = LastCalibration(), 0, []

        def load(model: ir.Model) -> Session:
            nonlocal loads
            loads += 1
            return catalogue.backend("cpu{threads=1}").open(model)

        for options, model, samples in given:
            shared = Context(load=load, samples=samples, last_calibration=last)
            Pipeline.parse(f"quantize/calibrate{options}").run(model, shared)
            made.append(found(model))
        return loads, made

    def test_ranges_are_those_of_a_run_of_their_own(self) -> None:
        samples, model = Samples.of(list(feeds())), net()
        asked = ["{method=mse}", "{method=percentile}", "{method=entropy, bits=4}", ""]
        loads, made = self.opened([(options, model.clone(), samples) for options in asked])
        assert loads == 1
        for options, ours in zip(asked, made, strict=True):
            assert ours == calibrated(options, context(samples)), options

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("{method=mse}", "{method=moving-average}"),
            ("", "{method=moving-average}"),
            ("", "{method=mse}"),
            ("{method=mse}", "{method=percentile, elements=7}"),
            ("{method=mse, values=[c]}", "{method=mse}"),
        ],
    )
    def test_other_methods_see_the_samples_themselves(self, first: str, second: str) -> None:
        samples, model = Samples.of(list(feeds())), net()
        loads, made = self.opened([(first, model.clone(), samples), (second, model, samples)])
        assert loads == 2
        assert made[1] == calibrated(second, context(samples))

    def test_other_models_and_samples_are_seen_for_themselves(self) -> None:
        one, other = Samples.of(list(feeds())), Samples.of(list(feeds(3)))
        loads, made = self.opened([("", net(), one), ("", net(), other), ("", net(), other)])
        assert loads == 2
        assert made[0] != made[1] == made[2]
        changed = net()
        bias = changed.graph.initializers["b"]
        bias.const_value = ir.tensor(np.full(4, 9, np.float32), name="b")
        assert self.opened([("", net(), one), ("", changed, one)])[0] == 2

    def test_what_was_not_finite_is_said_again(self) -> None:
        text = "(float[N] x) => (float[N] y) { s = Sqrt (x) y = Abs (x) }"
        models = [model_of(text) for _ in range(2)]
        for model in models:
            shapes.infer(model)
        samples = Samples.of([{"x": np.asarray([-1, 2], np.float32)}])
        loads, made = self.opened([("{method=mse}", models[0], samples), ("", models[1], samples)])
        assert loads == 1
        assert all(each.keys() == {"x", "y"} for each in made)
        assert models[1].meta[ranges.WITHOUT] == ["'s' holds NaN in sample 1"]


@pytest.mark.parametrize("method", ["minmax", "mse"])
def test_without_samples(method: str) -> None:
    def load(model: ir.Model) -> Session:
        raise AssertionError("nothing is opened without samples")

    steps = Pipeline.parse(f"quantize/calibrate{{method={method}}}")
    with pytest.raises(UsageError, match="needs samples"):
        steps.run(net(), Context(load=load))
    with pytest.raises(ModelError, match="no samples"):
        calibrated("", context(Samples.of([])))


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int | None]] = []
    given = context(Samples.of(list(feeds(3))))
    watched = Context(
        load=given.load, samples=given.samples, progress=lambda *said: told.append(said)
    )
    calibrated("", watched)
    assert told == [("calibration", at, 3) for at in range(3)]


@pytest.mark.parametrize("method", ["minmax", "entropy"])
def test_memory_does_not_grow_with_the_samples(method: str) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        calibrated(f"{{method={method}}}", context(Samples.of(lambda: feeds(count, (32,)))))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(2)
    assert peak(40) < peak(8) + (64 << 10)
