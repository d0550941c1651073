"""The demo model is what README says it is: trained, and exported with nothing folded."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime

from tests.source import ROOT

MODEL = ROOT / "examples" / "digits.onnx"
SAMPLES = sorted((ROOT / "examples" / "digits_samples").glob("*.npz"))


def test_it_reads_digits() -> None:
    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    samples = [np.load(path) for path in SAMPLES]
    right = [
        session.run(None, {"image": sample["image"]})[0].argmax() == sample["label"]
        for sample in samples
    ]
    assert len(samples) == 48
    assert np.mean(right) > 0.95


def test_there_is_work_left_in_it() -> None:
    kinds = {node.op_type for node in onnx.load(MODEL).graph.node}
    assert {"BatchNormalization", "Pad", "Shape", "Gather", "Concat", "Reshape"} <= kinds
    assert MODEL.stat().st_size < 600_000
