"""Tasks in a process of their own, since a broken library may end the process it is loaded into."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

MARK = "onnxopt-doctor:"
"""What the line with the result begins with; libraries print what they like around it."""

_OWN = Path(__file__).resolve().parents[2]
"""Where onnxopt itself lies: it need not be installed."""
_PATIENCE = 120.0
"""Seconds; the first start of a GPU's libraries can take one of these minutes."""


class Reply(NamedTuple):
    """What came back from a task: its result, or why there is none."""

    result: dict[str, Any]
    error: str | None = None


def ask(task: str, *words: str) -> Reply:
    """Do a task of ``onnxopt.diagnosis.tasks`` in a new interpreter that sees the same packages."""
    command = [sys.executable, "-P", "-m", "onnxopt.diagnosis.tasks", task, *words]
    known = [str(_OWN), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PATIENCE,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(known)},
        )
    except subprocess.TimeoutExpired:
        return Reply({}, f"it hangs: no answer within {_PATIENCE:g} s")
    except OSError as error:
        return Reply({}, f"no process can be started: {error.strerror}")
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            result: dict[str, Any] = json.loads(line.removeprefix(MARK))
            return Reply(result, result.pop("error", None))
    return Reply({}, _end(done))


def _end(done: subprocess.CompletedProcess[str]) -> str:
    last = done.stderr.strip().splitlines()[-1:]
    said = f": {last[0][:300]}" if last else ""
    if done.returncode < 0:
        return f"it crashes with {signal.Signals(-done.returncode).name}{said}"
    return f"it ends with status {done.returncode}{said}"
