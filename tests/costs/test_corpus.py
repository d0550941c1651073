"""Published figures of known networks, and formulas that agree with numbers on all models."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxopt.costs import Costs
from onnxopt.feeds import Plan
from onnxopt.io import load
from tests.shapes.test_corpus import CORPUS, models

PUBLISHED = {
    "imagenet_mobilenetv2": 300e6,  # Sandler et al. 2018, table 4: 300 M multiply-adds
    "imagenet_mobilenetv2_int8dyn": 300e6,
    "imagenet_squeezenet": 349e6,  # SqueezeNet 1.1: "2.4x less computation" than 1.0's 837 M
    "imagenet_squeezenet_fp16": 349e6,
    "cifar10_resnet20": 41e6,  # He et al. 2016 in the counts of akamaster/pytorch_resnet_cifar10
    "cifar10_resnet56": 126e6,
    "yolox_nano": 0.54e9,  # Ge et al. 2021: 1.08 GFLOPs, two a multiply-add
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_figures(name: str) -> None:
    path = CORPUS / name / "model.onnx"
    if not path.exists():
        pytest.skip(f"no corpus of models at {CORPUS}")
    model = load(path)
    macs = Costs.of(model, next(Plan.of(model).sizes())).macs
    assert macs == pytest.approx(PUBLISHED[name], rel=0.04)


@models
def test_formulas_agree_with_numbers(path: Path) -> None:
    model = load(path)
    formula = Costs.of(model)
    for sizes in [sizes for _, sizes in zip(range(6), Plan.of(model).sizes(), strict=False)]:
        numbers = Costs.of(model, sizes)
        if numbers.uncounted():
            continue
        for one, other in zip(formula.rows, numbers.rows, strict=True):
            if one.macs is not None and not isinstance(one.macs, int):
                assert one.macs.evaluate(dict(sizes)) == other.macs
