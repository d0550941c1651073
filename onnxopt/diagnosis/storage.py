"""Where temporary files go."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from onnxopt.diagnosis.finding import Finding
from onnxopt.diagnosis.system import System
from onnxopt.render import bytes_text

_LITTLE = 4_000_000_000
"""Bytes: models of 2 GB and more are written there beside their data."""
_REMEDY = "export TMPDIR=/a/folder/with/more/room"


def check(system: System) -> Iterator[Finding]:
    """Write into the folder for temporary files and look at its room."""
    folder = system.environ.get("TMPDIR") or tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
        free = shutil.disk_usage(Path(folder)).free
    except OSError as error:
        yield Finding(
            topic="storage",
            severity="problem",
            text=f"nothing can be written into {folder}: {error.strerror}",
            meaning="measuring and verifying write models there",
            remedy=_REMEDY,
        )
        return
    little = free < _LITTLE
    yield Finding(
        topic="storage",
        severity="warning" if little else "ok",
        text=f"{folder} has {bytes_text(free)} of room",
        meaning="large models are written there while they are measured" if little else "",
        remedy=_REMEDY if little else "",
    )
