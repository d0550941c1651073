"""scikit-learn's estimators and pipelines, through skl2onnx."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import onnx

from onnxopt.framework import Declared
from onnxopt.frameworks._estimator import EstimatorFramework, tensor_type, unnamed


def _register_boosters() -> None:
    """Let pipelines hold estimators of XGBoost and LightGBM, where those are in use."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator as shapes

    classes = {"zipmap": [True, False, "columns"], "nocl": [True, False]}
    for module, names in _BOOSTERS.items():
        if module not in sys.modules:
            continue
        for name, converter in names.items():
            kind = getattr(sys.modules[module], name)
            regressor = name.endswith("Regressor")
            update_registered_converter(
                kind,
                f"{module}.{name}",
                shapes.calculate_linear_regressor_output_shapes
                if regressor
                else shapes.calculate_linear_classifier_output_shapes,
                converter(),
                options=None if regressor else classes,
            )


def _xgboost() -> Any:
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

    def convert(scope: Any, operator: Any, container: Any) -> None:
        with unnamed(operator.raw_operator):
            convert_xgboost(scope, operator, container)

    return convert


def _lightgbm() -> Any:
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    return convert_lightgbm


_BOOSTERS = {
    "xgboost": {"XGBClassifier": _xgboost, "XGBRegressor": _xgboost},
    "lightgbm": {"LGBMClassifier": _lightgbm, "LGBMRegressor": _lightgbm},
}


class Sklearn(EstimatorFramework):
    """Classifiers, regressors, clusterers, transformers and pipelines of them."""

    modules: ClassVar = ("sklearn",)
    needs: ClassVar[Mapping[str, str]] = {"sklearn": "scikit-learn", "skl2onnx": "skl2onnx"}
    exporter: ClassVar = "skl2onnx"

    def convert(
        self, model: Any, signature: Sequence[Declared], opset: int | None
    ) -> onnx.ModelProto:
        """Convert with probabilities as a matrix, not as a list of dictionaries."""
        import skl2onnx
        from skl2onnx.common import data_types

        _register_boosters()
        proto: onnx.ModelProto = skl2onnx.convert_sklearn(
            model,
            initial_types=[(each.name, tensor_type(each, data_types)) for each in signature],
            target_opset={"": opset or skl2onnx.get_latest_tested_opset_version(), "ai.onnx.ml": 3},
            options={id(model): {"zipmap": False}} if hasattr(model, "predict_proba") else None,
        )
        return proto
