"""What quantization costs, told from the outputs alone, and which layers it costs most in."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from onnxopt.comparison.errors import Errors
from onnxopt.errors import BackendError
from onnxopt.target import Feeds, Outputs, Session

LAYER_DB = 34.0
"""The signal over the rounding noise of 8-bit numbers whose extremes lie at eight standard
deviations, less what two such operands add up to."""
BIT_DB = 6.02
STEPS, SEQUENCES = 16, 4
"""How often outputs that are carried into inputs are fed back, and from how many samples on."""
LEAST_DB, MOST_DB, MOST_BITS = 10.0, 22.0, 11


def decibels(noise: float) -> float:
    """Return the signal over a noise that is given as a share of it."""
    return -10 * math.log10(noise) if noise > 0 else math.inf


def expected_db(layers: int, bits: int) -> float:
    """Return the least signal to noise ratio, in dB, that rounding explains.

    The noise of each layer is taken as independent and as strong as ``LAYER_DB`` says, 6.02 dB more
    for every bit less, up to the 11 of float16; that of n layers adds up to n times as much. What
    is cut off at either end is no property of the types: of 8 bits and less no more than 22 dB is
    asked for, which few uses tell from exact, and below 10 dB all do.
    """
    bits = min(bits, MOST_BITS)
    found = LAYER_DB + BIT_DB * (bits - 8) - 10 * math.log10(max(layers, 1))
    return min(max(found, LEAST_DB), MOST_DB + BIT_DB * max(bits - 8, 0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss:
    """How far the outputs of a quantized model are from the float model's."""

    sqnr_db: float
    """Of the worst output."""
    output: str
    agreement: float | None
    """How often the largest element of that output stays the largest."""
    strange: bool
    """NaN or infinity where the float model has none, or another shape."""

    @property
    def noise(self) -> float:
        """The energy of the error over that of the signal."""
        return math.inf if self.strange else 10 ** (-self.sqnr_db / 10)

    def refusal(self, least_db: float) -> str | None:
        """Say why it is more than the types explain; None where it is not."""
        if self.strange:
            return "its outputs are NaN, infinite or of another shape"
        if self.sqnr_db < least_db:
            return (
                f"its outputs keep {self.sqnr_db:.1f} dB, where the types explain {least_db:.1f} dB"
            )
        return None


class Guard:
    """The float model's outputs on some samples, to hold others against.

    They stay in memory: a handful of samples is enough to tell a ruined model. Outputs that are
    ``carried`` into inputs are fed back for some steps from a few of them on, by each model its
    own: there errors add up.
    """

    def __init__(
        self, session: Session, feeds: Sequence[Feeds], carried: Mapping[str, str] | None = None
    ) -> None:
        self._feeds = feeds
        self.carried = _returning(session, feeds, carried or {})
        """The outputs that are fed back, each with the input that takes it."""
        self._expected = [list(self._steps(session, at)) for at in range(len(feeds))]

    def loss(self, session: Session, *, count: int | None = None) -> Loss:
        """Return the loss of a model on the first ``count`` samples, on all by default."""
        errors: dict[str, Errors] = {}
        try:
            for at, expected in enumerate(self._expected[:count]):
                for wanted, found in zip(expected, self._steps(session, at), strict=True):
                    _add(errors, wanted, found)
        except BackendError:
            return Loss(sqnr_db=-math.inf, output="", agreement=None, strange=True)
        return _worst(errors)

    def _steps(self, session: Session, at: int) -> Iterator[Outputs]:
        """Run a model on one sample, and on what it hands back where it does."""
        now = dict(self._feeds[at])
        for _ in range(STEPS if self.carried and at < SEQUENCES else 1):
            found = session.run(now)
            yield found
            now |= {into: found[name] for name, into in self.carried.items()}


def _returning(
    session: Session, feeds: Sequence[Feeds], carried: Mapping[str, str]
) -> dict[str, str]:
    """Leave out what comes back in another shape or type, as a cache does that grows."""
    if not carried or not feeds:
        return {}
    found = session.run(feeds[0])
    pairs = [(name, into) for name, into in carried.items() if into in feeds[0]]
    return {
        name: into
        for name, into in pairs
        if (found[name].shape, found[name].dtype) == (feeds[0][into].shape, feeds[0][into].dtype)
    }


def _add(errors: dict[str, Errors], expected: Outputs, actual: Outputs) -> None:
    for name, array in expected.items():
        if isinstance(array, np.ndarray) and isinstance(actual.get(name), np.ndarray):
            errors.setdefault(name, Errors()).add(array, actual[name])


def _worst(errors: dict[str, Errors]) -> Loss:
    found = [
        Loss(
            sqnr_db=math.inf if math.isnan(each.sqnr) else each.sqnr,
            output=name,
            agreement=each.agreement.share if each.agreement else None,
            strange=bool(each.strange or each.misshapen),
        )
        for name, each in errors.items()
    ]
    nothing = Loss(sqnr_db=math.inf, output="", agreement=None, strange=False)
    return max(found, key=lambda loss: loss.noise, default=nothing)


def to_leave_out(noise: dict[str, float], total: float, allowed: float) -> list[str]:
    """Return the layers to keep in float so that the noise of the others stays within a bound.

    ``noise`` is that of each layer quantized alone, ``total`` that of all together; where the sum
    of the former is another, all are taken as larger or smaller by that factor. The loudest go
    first.
    """
    factor = total / (sum(noise.values()) or 1.0)
    left, out = total, []
    for name in sorted(noise, key=lambda name: (-noise[name], name)):
        if left <= allowed:
            break
        out.append(name)
        left -= factor * noise[name]
    return out
