"""Estimators trained on data that comes with scikit-learn: the same predictions from ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxopt
from onnxopt.errors import OnnxoptError
from onnxopt.lossless import reference

pytest.importorskip("skl2onnx", reason="skl2onnx is not installed: pip install 'onnxopt[sklearn]'")
sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn import compose, datasets, ensemble, linear_model, pipeline, preprocessing, svm  # noqa: E402


def _classes() -> tuple[np.ndarray, np.ndarray]:
    x, y = datasets.load_digits(return_X_y=True)
    return x.astype(np.float32)[::3], y[::3]


def _values() -> tuple[np.ndarray, np.ndarray]:
    x, y = datasets.load_diabetes(return_X_y=True)
    return x.astype(np.float32), y


def _same(model: Any, x: np.ndarray, exporter: str) -> None:
    """Predict every row of the data, of which the export has seen a few."""
    exported, report = onnxopt.export_with_report(model, x[:5])
    assert report.exporter == exporter
    assert report.inputs == (f"x=batch,{x.shape[1]}",)
    found = reference()(exported, {"x": x})
    expected = model.predict(x)
    if "prediction" in found:
        np.testing.assert_allclose(found["prediction"][:, 0], expected, rtol=1e-4)
        return
    assert (found["label"] == expected).all()
    if hasattr(model, "predict_proba"):
        wanted = model.predict_proba(x)
        np.testing.assert_allclose(found["probabilities"], wanted, rtol=1e-3, atol=1e-5)


def _logistic() -> Any:
    return pipeline.make_pipeline(
        preprocessing.StandardScaler(), linear_model.LogisticRegression(max_iter=300)
    )


def _by_columns() -> Any:
    columns = compose.ColumnTransformer(
        [
            ("scaled", preprocessing.MinMaxScaler(), list(range(32))),
            ("kept", "passthrough", list(range(32, 64))),
        ]
    )
    return pipeline.make_pipeline(columns, linear_model.LogisticRegression(max_iter=300))


@pytest.mark.parametrize(
    "make",
    [
        _logistic,
        lambda: ensemble.RandomForestClassifier(20, random_state=0),
        _by_columns,
        lambda: ensemble.ExtraTreesClassifier(10, random_state=0),
    ],
)
def test_classifiers(make: Any) -> None:
    x, y = _classes()
    _same(make().fit(x, y), x, "skl2onnx")


def test_probabilities_that_tie_do_not_excuse_labels() -> None:
    x, y = datasets.load_wine(return_X_y=True)
    model = linear_model.SGDClassifier(loss="log_loss", random_state=0).fit(x, y)
    with pytest.raises(OnnxoptError, match="'label' differs in"):
        onnxopt.export(model, x[:40].astype(np.float32))


def test_names_of_classes_come_back() -> None:
    x, y = _classes()
    names = np.array(["even", "odd"])[y % 2]
    _same(_logistic().fit(x, names), x, "skl2onnx")


@pytest.mark.parametrize(
    "make",
    [
        lambda: linear_model.Ridge(),
        lambda: ensemble.GradientBoostingRegressor(n_estimators=20, random_state=0),
        lambda: svm.SVR(),
    ],
)
def test_regressors(make: Any) -> None:
    x, y = _values()
    _same(make().fit(x, y), x, "skl2onnx")


def test_a_transformer_needs_no_example() -> None:
    x, _ = _values()
    scaler = preprocessing.StandardScaler().fit(x)
    exported, report = onnxopt.export_with_report(scaler)
    assert report.outputs == ("transformed",)
    found = reference()(exported, {"x": x})["transformed"]
    np.testing.assert_allclose(found, scaler.transform(x), rtol=1e-4, atol=1e-5)


def test_xgboost() -> None:
    xgboost = pytest.importorskip("xgboost", reason="XGBoost is not installed")
    pytest.importorskip("onnxmltools", reason="onnxmltools is not installed")
    x, y = _classes()
    _same(xgboost.XGBClassifier(n_estimators=8, n_jobs=1).fit(x, y), x, "onnxmltools")
    _same(xgboost.XGBClassifier(n_estimators=8, n_jobs=1).fit(x, y % 2), x, "onnxmltools")
    x, y = _values()
    _same(xgboost.XGBRegressor(n_estimators=8, n_jobs=1).fit(x, y), x, "onnxmltools")


def test_lightgbm() -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is not installed")
    pytest.importorskip("onnxmltools", reason="onnxmltools is not installed")
    x, y = _classes()
    _same(lightgbm.LGBMClassifier(n_estimators=8, n_jobs=1, verbose=-1).fit(x, y), x, "onnxmltools")
    _same(
        lightgbm.LGBMClassifier(n_estimators=8, n_jobs=1, verbose=-1).fit(x, y % 2),
        x,
        "onnxmltools",
    )
    x, y = _values()
    _same(lightgbm.LGBMRegressor(n_estimators=8, n_jobs=1, verbose=-1).fit(x, y), x, "onnxmltools")


def test_boosted_trees_inside_a_pipeline() -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is not installed")
    pytest.importorskip("onnxmltools", reason="onnxmltools is not installed")
    x, y = _classes()
    trees = lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1)
    _same(pipeline.make_pipeline(preprocessing.StandardScaler(), trees).fit(x, y), x, "skl2onnx")


def test_doubles_are_taken_as_what_the_file_computes_in() -> None:
    x, y = _classes()
    model = _logistic().fit(x, y)
    exported, report = onnxopt.export_with_report(model, x[:5].astype(np.float64))
    assert report.inputs == (f"x=batch,{x.shape[1]}",)
    assert (reference()(exported, {"x": x})["label"] == model.predict(x)).all()
    whole, _ = onnxopt.export_with_report(model, x[:5].astype(np.int64))
    assert (reference()(whole, {"x": x})["label"] == model.predict(x)).all()
    named, report = onnxopt.export_with_report(model, {"pixels": x[:5]})
    assert report.inputs == (f"pixels=batch,{x.shape[1]}",)
    assert named.graph.inputs[0].name == "pixels"


def test_a_table_with_named_columns() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    table = pandas.DataFrame(
        {
            "age": np.arange(40) / 3,
            "city": ["Bern", "Basel", "Zug", "Chur"] * 10,
        }
    )
    columns = compose.ColumnTransformer(
        [
            ("scaled", preprocessing.StandardScaler(), ["age"]),
            ("coded", preprocessing.OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ]
    )
    labels = (np.arange(40) > 20).astype(int)
    model = pipeline.make_pipeline(columns, linear_model.LogisticRegression()).fit(table, labels)
    exported, report = onnxopt.export_with_report(model, table[:6])
    assert report.inputs == ("age=batch,1", "city:string=batch,1")
    feeds = {
        "age": table["age"].to_numpy(np.float32).reshape(-1, 1),
        "city": np.array(list(table["city"]), dtype=object).reshape(-1, 1),
    }
    assert (reference()(exported, feeds)["label"] == model.predict(table)).all()


def test_inputs_of_other_names_are_told() -> None:
    x, y = _classes()
    model = _logistic().fit(x, y)
    with pytest.raises(OnnxoptError):
        onnxopt.export(model, {"a": x[:5], "b": x[:5]})


def test_a_booster_that_was_fitted_on_a_table() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    xgboost = pytest.importorskip("xgboost", reason="XGBoost is not installed")
    pytest.importorskip("onnxmltools", reason="onnxmltools is not installed")
    x, y = _values()
    table = pandas.DataFrame(x, columns=[f"name {at}" for at in range(x.shape[1])])
    model = xgboost.XGBRegressor(n_estimators=8, max_depth=3).fit(table, y)
    for given in (table[:5], x[:5]):
        exported = onnxopt.export(model, given)
        found = reference()(exported, {"x": x})["prediction"][:, 0]
        np.testing.assert_allclose(found, model.predict(table), rtol=1e-4)
    assert model.get_booster().feature_names[0] == "name 0"
