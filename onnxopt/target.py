"""What a model runs on: facts about a target, and how a session on it is opened."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self, dataclass_transform

import numpy as np
import onnx_ir as ir

from onnxopt.errors import BackendError
from onnxopt.kernels import IntegerKernels

Feeds = Mapping[str, np.ndarray]
"""Arrays by input name."""

Outputs = dict[str, np.ndarray]
"""Arrays by output name."""

EXECUTED = "executed.onnx"
"""The file in which a target that records leaves the graph that its runtime runs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """Facts about where a model will run; what the runtime has to be asked for is asked once."""

    name: str
    pipeline: str
    """The default lossless pipeline, as text."""
    probe_max_opset: Callable[[], int]
    probe_operators: Callable[[], frozenset[str]] = frozenset
    probe_zero_rows: Callable[[], bool] = bool
    integer: IntegerKernels | None = None
    """What it computes on integers; None where that gains nothing."""
    channel_block: int = 0
    """Channels in a block of the layout that its convolutions work in; 0 where there is none."""
    half: tuple[Literal["float16", "bfloat16"], ...] = ()
    """The types of two bytes that it computes faster in than in float32."""

    @functools.cached_property
    def max_opset(self) -> int:
        """The newest version of the default operator set that the target loads."""
        return self.probe_max_opset()

    @functools.cached_property
    def operators(self) -> frozenset[str]:
        """Operators beyond ONNX's own that may be emitted for it, as ``domain::Name``."""
        return self.probe_operators()

    @functools.cached_property
    def zero_rows(self) -> bool:
        """Its Attention gives zeros, as ONNX says, for a query that attends to nothing; not NaN."""
        return self.probe_zero_rows()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Placement:
    """Where one node of a session runs."""

    node: str
    op_type: str
    provider: str


class TensorRun(NamedTuple):
    """A tensor that went through a node: its type as the runtime names it, and its shape."""

    dtype: str
    shape: tuple[int, ...]


@dataclasses.dataclass(kw_only=True, slots=True)
class NodeRun:
    """What a runtime recorded of one execution of one node."""

    node: str
    op_type: str
    provider: str
    index: int
    """The runtime's own number of the node, within its graph; -1 where it tells none."""
    seconds: float
    """As recorded, without the nodes of its own subgraphs."""
    depth: int = 0
    """How many nodes with subgraphs it runs inside."""
    inner: int = 0
    """How many nodes ran directly inside it."""
    device_seconds: float = 0.0
    """Of the kernels that it started on a device, where the runtime tells them apart."""
    inputs: tuple[TensorRun, ...] = ()
    outputs: tuple[TensorRun, ...] = ()
    activation_bytes: int = 0
    weight_bytes: int = 0
    output_bytes: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelRun:
    """What a runtime recorded of one run of a model: the nodes in the order in which they ended."""

    seconds: float
    """The whole run, as the runtime sees it."""
    executor_seconds: float
    """From the first node to the last, gaps included."""
    nodes: list[NodeRun]


class Session(abc.ABC):
    """A model that is loaded and ready to run; a context manager."""

    @abc.abstractmethod
    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        """Run once; ``outputs`` names the ones wanted, all by default."""

    def prepared(self, feeds: Feeds) -> Callable[[], object]:
        """Return what runs once on these feeds: for a clock, with as little beside it as can be."""
        return functools.partial(self.run, feeds)

    def fallbacks(self) -> Sequence[Placement]:
        """Return the nodes that run somewhere else than on the provider that was asked for."""
        return ()

    def device_seconds(self) -> float | None:
        """Return how long the last run took by the device's own clock; None where it has none."""
        return None

    def recorded(self) -> Iterator[ModelRun]:
        """Stop recording and return the runs so far, the first ones too, one at a time.

        Raises BackendError where the session was not opened by a target that records.
        """
        raise BackendError("the session was opened without recording")

    @abc.abstractmethod
    def close(self) -> None:
        """Free what the session holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Backend(abc.ABC):
    """An execution target as a value: a frozen dataclass whose fields are its session options."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)

    @classmethod
    @abc.abstractmethod
    def target(cls) -> Target:
        """Return the facts about this target."""

    @classmethod
    @abc.abstractmethod
    def unavailable(cls) -> str | None:
        """Say why this target cannot be used here and how to get it; None when it can."""

    def timed(self) -> Backend:
        """Return the target with its device's clock read at every run, if it has one.

        Its sessions serve one caller at a time.
        """
        return self

    def alone(self) -> str | None:
        """Say why a session serves one caller at a time; None when it serves several at once."""
        return None

    @abc.abstractmethod
    def open(self, model: ir.Model | Path) -> Session:
        """Load a model, or the file of one.

        Raises BackendError when the target is missing or refuses the model.
        """

    def faster(self) -> Mapping[str, Backend]:
        """Return, by name, this target with settings that compute float operators in fewer bits.

        Only those that the machine at hand has instructions for.
        """
        return {}

    def recording(self, folder: Path) -> Backend:
        """Return this target with sessions that record every node; files go to ``folder``.

        A runtime that can write the graph it runs writes it there as ``executed.onnx``. Raises
        BackendError for a target that cannot record.
        """
        raise BackendError(f"the target '{self.target().name}' does not record what its nodes take")
