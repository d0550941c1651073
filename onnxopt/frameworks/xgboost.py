"""XGBoost's estimators with scikit-learn's methods, through onnxmltools."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import onnx

from onnxopt.framework import Declared
from onnxopt.frameworks._estimator import EstimatorFramework, tensor_type, unnamed


class XGBoost(EstimatorFramework):
    """Boosted trees as classifiers and regressors."""

    modules: ClassVar = ("xgboost",)
    needs: ClassVar[Mapping[str, str]] = {"xgboost": "xgboost", "onnxmltools": "onnxmltools"}
    exporter: ClassVar = "onnxmltools"
    tables: ClassVar = False

    def calling(self, model: Any) -> contextlib.AbstractContextManager[None]:
        """Take the names of features away, as of a table that it was fitted on."""
        return unnamed(model)

    def convert(
        self, model: Any, signature: Sequence[Declared], opset: int | None
    ) -> onnx.ModelProto:
        """Convert an estimator, with probabilities as a matrix."""
        import onnxmltools
        from onnxmltools.convert.common import data_types

        proto: onnx.ModelProto = onnxmltools.convert_xgboost(
            model,
            initial_types=[(each.name, tensor_type(each, data_types)) for each in signature],
            target_opset=opset,
        )
        return proto
