"""The command line. Hardly anything is imported here: Ctrl-C during start-up ends in good order."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

_INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line: status 0 done, 1 model or data at fault, 2 usage, 130 interrupted.

    The process ends at once: taking the interpreter and the runtimes apart in good order would cost
    more time than most models take to optimize, and gives back nothing that the system does not.
    Nor is garbage collected on the way, for nearly all that is made lives to the end.
    """
    gc.disable()
    try:
        from onnxopt.cli.app import run

        status = run()
    except KeyboardInterrupt:
        status = _INTERRUPTED
        sys.stderr.write("interrupted\n")
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        status = 1
    os._exit(status)
