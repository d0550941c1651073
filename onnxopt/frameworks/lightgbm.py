"""LightGBM's estimators with scikit-learn's methods, through onnxmltools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import onnx

from onnxopt.framework import Declared
from onnxopt.frameworks._estimator import EstimatorFramework, tensor_type


class LightGBM(EstimatorFramework):
    """Boosted trees as classifiers and regressors."""

    modules: ClassVar = ("lightgbm",)
    needs: ClassVar[Mapping[str, str]] = {"lightgbm": "lightgbm", "onnxmltools": "onnxmltools"}
    exporter: ClassVar = "onnxmltools"
    tables: ClassVar = False

    def convert(
        self, model: Any, signature: Sequence[Declared], opset: int | None
    ) -> onnx.ModelProto:
        """Convert an estimator, with probabilities as a matrix."""
        import onnxmltools
        from onnxmltools.convert.common import data_types

        proto: onnx.ModelProto = onnxmltools.convert_lightgbm(
            model,
            initial_types=[(each.name, tensor_type(each, data_types)) for each in signature],
            target_opset=opset,
            zipmap=False,
        )
        return proto
