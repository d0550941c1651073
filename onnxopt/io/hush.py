"""What is kept from happening while a large graph is built or taken apart."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector from walking a growing graph again and again: half the time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep onnx-ir from logging, node by node, what is reported here as one error."""
    logger = logging.getLogger("onnx_ir.serde")
    errors_only = _ErrorsOnly()
    logger.addFilter(errors_only)
    try:
        yield
    finally:
        logger.removeFilter(errors_only)


class _ErrorsOnly(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR
