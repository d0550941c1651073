"""How the interpreter is set while a large graph is built, rewritten or taken apart."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
from collections.abc import Iterator

_PROMPT = 1e-4
"""Seconds that a thread computes while another one waits."""


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
def prompt() -> Iterator[None]:
    """Let a thread that returns from the runtime go on at once, not after the usual 5 ms.

    Verification calls the runtime dozens of times beside the passes, and would wait each time.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_PROMPT)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


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
