"""Take the wall time of a verdict on two small models with no options at all.

The demo model against itself optimized, and a corpus model against itself.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from common import HERE

from measuring.runs import Entry, bench, model, options, resume

DEMO = HERE.parent / "examples" / "digits.onnx"


def verdict(number: int) -> Entry:
    """Take the time of one comparison."""
    with tempfile.TemporaryDirectory() as folder:
        if number % 2:
            first = second = model("cifar10_resnet20")
        else:
            first, second = DEMO, Path(folder) / "digits.onnx"
            program = Path(sys.executable).with_name("onnxopt")
            command = [program, "optimize", first, "-o", second]
            subprocess.run(command, check=True, capture_output=True)
        report = bench(first, second)
    row = report["rows"][1]
    return {
        "models": [first.parent.name + "/" + first.name, second.name],
        "wall": round(report["wall"], 2),
        "verdict": row["verdict"],
        "launches": row["launches"],
    }


if __name__ == "__main__":
    resume("measuring_verdict", options(__doc__, 6), verdict)
