"""Functions of TensorFlow with named inputs: run, and written by tf2onnx."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onnxopt.framework import Declared, Subject, named, refusals
from onnxopt.target import Feeds, Outputs

OPSET = 18
"""The newest operator set that tf2onnx writes."""


class Function(Subject):
    """A function of tensors in the order in which they are declared, that returns named tensors."""

    exporters = ("tf2onnx",)

    def __init__(
        self,
        call: Callable[[Sequence[Any]], list[tuple[str, Any]]],
        declared: tuple[Declared, ...] | None,
        outputs: Sequence[str],
        parameters: tuple[str, ...] | None = None,
    ) -> None:
        self._parameters = parameters
        self._call, self._own, self._names = call, declared, tuple(outputs)
        self._signature: tuple[Declared, ...] = declared or ()
        self.notes: list[str] = []

    def declared(self) -> tuple[Declared, ...] | None:
        """Return what the function itself says of its inputs."""
        return self._own

    def arguments(self) -> tuple[str, ...] | None:
        """Return the names of the inputs in the order of the call."""
        return self._parameters if self._own is None else tuple(each.name for each in self._own)

    def settle(self, signature: Sequence[Declared]) -> None:
        """Take the inputs in this order."""
        self._signature = tuple(signature)

    def run(self, feeds: Feeds) -> Outputs:
        """Run it eagerly."""
        import tensorflow as tf

        with hushed(), refusals("the model", tf.errors.OpError):
            tensors = [tf.constant(feeds[each.name]) for each in self._signature]
            found = [(name, np.asarray(array)) for name, array in self._call(tensors)]
        return named(found, self._names, [each.name for each in self._signature])

    def write(
        self,
        exporter: str,
        signature: Sequence[Declared],
        feeds: Feeds,
        path: Path,
        opset: int | None,
    ) -> None:
        """Trace the function with these axes open, fix its variables and translate the graph."""
        import tensorflow as tf

        specs = [
            tf.TensorSpec(
                [None if isinstance(dim, str) else dim for dim in each.dims],
                tf.as_dtype(each.dtype.numpy()),
                name=each.name,
            )
            for each in signature
        ]
        with hushed(), refusals("", tf.errors.OpError):
            import tf2onnx

            function = tf.function(
                lambda *tensors: [tensor for _, tensor in self._call(tensors)],
                input_signature=specs,
            )
            tf2onnx.convert.from_function(
                function, input_signature=specs, opset=opset or OPSET, output_path=str(path)
            )


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Keep TensorFlow and tf2onnx from printing and warning."""
    nowhere = io.StringIO()
    loggers = [logging.getLogger(name) for name in ("tensorflow", "tf2onnx", "absl")]
    levels = [logger.level for logger in loggers]
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
