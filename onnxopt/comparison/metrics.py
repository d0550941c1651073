"""What a model is good for, in one number: accuracy, agreement, perplexity, or a user's own."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable

import numpy as np

from onnxopt.comparison.energy import continuous
from onnxopt.comparison.errors import class_axis
from onnxopt.errors import ModelError
from onnxopt.target import Outputs

Score = Callable[[Outputs, np.ndarray | None], np.ndarray]
"""From outputs and label to [units, 2]: the sum of the scores in a unit, and over how many."""


class Kind(enum.Enum):
    """What becomes of the mean score over all units."""

    SHARE = "share"
    """Scores are 0 or 1, so it is a share of hits."""
    MEAN = "mean"
    EXPONENTIAL = "exponential"
    """Its exponential is taken."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric: how one sample is scored, and how scores become a number."""

    name: str
    score: Score
    kind: Kind = Kind.SHARE
    higher_is_better: bool = True
    against_first: bool = False
    """The label is taken from the first model's ``output``, not what the sample holds."""
    output: str | None = None
    expected: Callable[[Outputs, str | None], np.ndarray] | None = None
    """What of it: where its largest elements are, unless something else is said."""

    def label(self, first: Outputs, label: np.ndarray | None) -> np.ndarray | None:
        """Return what both models are scored against."""
        if not self.against_first:
            return label
        return (self.expected or choice)(first, self.output)

    def value(self, total: float, count: float) -> float:
        """Return the metric for a sum of scores."""
        mean = total / count
        return float(np.exp(min(mean, 700.0))) if self.kind is Kind.EXPONENTIAL else mean


def top(count: int, output: str | None = None) -> Metric:
    """Share of positions whose label is among the ``count`` largest elements of an output.

    The output is [N, C], [N, T, C], [N, C, H, W] or [C]; labels are class numbers, one for each
    position, negative ones are left out, or of the output's shape, their largest element being
    the class. A unit is one of the N. A tie counts as a hit only for the one that argmax returns.
    """

    def score(outputs: Outputs, label: np.ndarray | None) -> np.ndarray:
        array = chosen(outputs, output)
        classes, wanted = positions(array, label)
        at = np.maximum(wanted, 0)[..., None]
        given = np.take_along_axis(classes, at, -1)
        ahead = classes > given
        ahead |= (classes == given) & (np.arange(classes.shape[-1]) < at)
        hits = (ahead.sum(-1) < count) & ~np.isnan(given[..., 0])
        return _units(hits.astype(float), wanted >= 0)

    return Metric(name=f"top-{count}", score=score)


def agreement(output: str | None = None) -> Metric:
    """Share of positions at which both models have the largest element at the same place.

    Needs no labels: the first model's output takes their place. A unit is one of the N.
    """

    def score(outputs: Outputs, label: np.ndarray | None) -> np.ndarray:
        classes, wanted = positions(chosen(outputs, output), label)
        hits = (np.argmax(classes, -1) == wanted) & ~np.isnan(classes).any(-1)
        return _units(hits.astype(float), np.ones_like(hits))

    return Metric(name="agreement", score=score, against_first=True, output=output)


def perplexity(output: str | None = None) -> Metric:
    """``exp`` of the mean of ``-log softmax(logits)[label]`` over all tokens; lower is better.

    Logits are [N, T, V], labels [N, T]: the token that follows each position, negative ones are
    left out. A unit is one of the N sequences.
    """

    def score(outputs: Outputs, label: np.ndarray | None) -> np.ndarray:
        logits, wanted = positions(chosen(outputs, output), label)
        wide = logits.astype(np.float64)
        wide -= wide.max(-1, keepdims=True)
        given = np.take_along_axis(wide, np.maximum(wanted, 0)[..., None], -1)[..., 0]
        loss = np.log(np.exp(wide).sum(-1)) - given
        return _units(loss, wanted >= 0)

    return Metric(name="perplexity", score=score, kind=Kind.EXPONENTIAL, higher_is_better=False)


def noise(output: str | None = None) -> Metric:
    """Energy of the error over that of the first model's output, lower is better: 0.01 is 20 dB.

    Needs no labels, and no classes. A unit is one of the N.
    """

    def score(outputs: Outputs, label: np.ndarray | None) -> np.ndarray:
        array = _real(outputs, output)
        if label is None or array.shape != label.shape:
            raise ModelError("the outputs of the two models have other shapes")
        rows = label.shape[0] if label.ndim else 1
        wanted = label.reshape(rows, -1).astype(np.float64)
        error = array.reshape(rows, -1) - wanted
        sums = np.stack([np.square(error).sum(1), np.square(wanted).sum(1)], axis=-1)
        return np.where(np.isfinite(sums), sums, np.finfo(np.float64).max / 4)

    return Metric(
        name="noise",
        score=score,
        kind=Kind.MEAN,
        higher_is_better=False,
        against_first=True,
        output=output,
        expected=_real,
    )


def _real(outputs: Outputs, name: str | None) -> np.ndarray:
    """Return the output of a name; without one, the first of real numbers."""
    if name is not None and name not in outputs:
        raise ModelError(f"there is no output '{name}' to score; there are {', '.join(outputs)}")
    for each in outputs if name is None else [name]:
        array = outputs[each]
        if isinstance(array, np.ndarray) and continuous(array):
            return array
    raise ModelError("no output holds real numbers; use a metric of your own")


def choice(outputs: Outputs, output: str | None = None) -> np.ndarray:
    """Return where the largest element of an output is at each position: [N], [N, T], [N, H, W]."""
    array = chosen(outputs, output)
    return np.asarray(np.argmax(array, class_axis(array.shape)))


def fitting(outputs: Outputs, label: np.ndarray, output: str | None = None) -> tuple[Metric, ...]:
    """Return the metrics that suit class numbers as labels: none where they are something else."""
    try:
        classes, wanted = positions(chosen(outputs, output), label)
    except ModelError:
        return ()
    if label.dtype.kind not in "iu" or int(wanted.max(initial=0)) >= classes.shape[-1]:
        return ()
    if classes.ndim == 3 and classes.shape[-2] > 1:
        return (perplexity(output), top(1, output))
    return (top(1, output), top(5, output)) if classes.shape[-1] > 10 else (top(1, output),)


def chosen(outputs: Outputs, name: str | None) -> np.ndarray:
    """Return the output of a name; without one, the first that can hold scores of classes.

    Raises ModelError where there is none.
    """
    if name is not None and name not in outputs:
        raise ModelError(f"there is no output '{name}' to score; there are {', '.join(outputs)}")
    for each in outputs if name is None else [name]:
        array = outputs[each]
        if (
            isinstance(array, np.ndarray)
            and continuous(array)
            and class_axis(array.shape) is not None
        ):
            return array
    raise ModelError(
        "no output holds a score for each of several classes; use a metric of your own"
    )


def positions(array: np.ndarray, label: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return an output with its classes along the last axis, and a class number for each position.

    Raises ModelError where the labels do not fit the output.
    """
    axis = class_axis(array.shape)
    if label is None or axis is None:
        raise ModelError("it has no label: store one beside the inputs, as 'label'")
    classes = np.moveaxis(array, axis, -1)
    if label.shape == array.shape and label.ndim > 0:
        label = np.argmax(label, axis)
    shape = classes.shape[:-1]
    if label.size != int(np.prod(shape)) or label.dtype.kind not in "iu":
        raise ModelError(
            f"labels {label.dtype}{list(label.shape)} do not fit the output {list(array.shape)}, "
            f"which wants a class number for each of {list(shape)}; use a metric of your own"
        )
    wanted = label.reshape(shape).astype(np.int64)
    if wanted.size and int(wanted.max()) >= classes.shape[-1]:
        raise ModelError(
            f"label {int(wanted.max())}, but the output has {classes.shape[-1]} classes"
        )
    return classes, wanted


def _units(scores: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Sum scores within each element of the first axis: [units, 2]."""
    rows = scores.shape[0] if scores.ndim else 1
    kept = np.where(counted, scores, 0.0).reshape(rows, -1)
    return np.stack([kept.sum(1), counted.reshape(rows, -1).sum(1).astype(float)], axis=-1)
