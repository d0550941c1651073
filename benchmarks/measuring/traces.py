"""Record the times of blocks of one model as three variants: what intervals are tried on.

A run is one model, quiet or under load: 16 launches of three processes, six rounds each. The
variants are the same file, so every true ratio is 1.
"""

from __future__ import annotations

from measuring.runs import MODELS, Entry, model, neighbours, options, resume
from onnxopt._startup import import_onnx_ir
from onnxopt.backends.cpu import Cpu
from onnxopt.measure.feeding import feeds_for, stored
from onnxopt.measure.records import Group, Record, Variant
from onnxopt.measure.run import Effort, Measurement

EFFORT = Effort(launches=16, blocks=6)


def record(number: int) -> Entry:
    """Record one model, the first five quiet and the others under load."""
    name, load = MODELS[number % len(MODELS)], number >= len(MODELS)
    variant = Variant(label=name, model=model(name), backend=Cpu(threads=1))
    feeds = feeds_for(variant, None, EFFORT.timeout_s, 0)
    with stored(feeds) as path, neighbours(2 if load else 0, 1 / 3):
        group = Group([Record(variant), Record(variant)], path, len(feeds))
        Measurement([group], EFFORT, number).run(lambda *_: None, lambda: False, lambda: None)
    assert group.twin is not None
    found = [*group.records, group.twin]
    logs = [
        [[round(block.latency, 5) for block in launch.values()] for launch in entry.launches]
        for entry in found
    ]
    return {"model": name, "load": load, "logs": logs, "disturbed": group.disturbed}


if __name__ == "__main__":
    import_onnx_ir()
    resume("measuring_traces", options(__doc__, 2 * len(MODELS)), record)
