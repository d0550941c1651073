"""Estimators with scikit-learn's methods: what they predict, and their inputs in ONNX's types."""

from __future__ import annotations

import abc
import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import onnx_ir as ir

from onnxopt.errors import ModelError
from onnxopt.framework import Declared, Framework, RefusedError, Subject, named, refusals
from onnxopt.target import Feeds, Outputs

_ROWS = "batch"
_INSIDE = 1_500_000_000
"""Bytes that a single file can hold with room to spare."""


@contextlib.contextmanager
def unnamed(model: Any) -> Iterator[None]:
    """Take the names of features from a booster for a while: converters know numbers only."""
    booster = model.get_booster()
    names, types = booster.feature_names, booster.feature_types
    booster.feature_names = booster.feature_types = None
    try:
        yield
    finally:
        booster.feature_names, booster.feature_types = names, types


class EstimatorFramework(Framework):
    """A framework of estimators with scikit-learn's methods."""

    exporter: ClassVar[str]

    tables: ClassVar[bool] = True
    """Whether the columns of a table may be inputs of their own."""

    def calling(self, model: Any) -> contextlib.AbstractContextManager[None]:
        """Make a model ready to be called with a matrix, and to be converted."""
        del model
        return contextlib.nullcontext()

    @abc.abstractmethod
    def convert(
        self, model: Any, signature: Sequence[Declared], opset: int | None
    ) -> onnx.ModelProto:
        """Convert a fitted model with these inputs, at an operator set or the converter's own."""

    def subject(self, thing: object, outputs: Sequence[str]) -> Subject:
        """Take a fitted estimator; all are computed row by row, so the rows stay open."""
        if not hasattr(thing, "predict") and not hasattr(thing, "transform"):
            raise ModelError(
                f"{self.modules[0]}: {type(thing).__name__} neither predicts nor transforms; "
                "take the estimator with scikit-learn's methods"
            )
        return Estimator(thing, outputs, self)


class Estimator(Subject):
    """Predicts labels and probabilities, values, or what a transformer makes of its inputs."""

    rows = 1000

    def __init__(self, model: Any, outputs: Sequence[str], home: EstimatorFramework) -> None:
        self._model, self._names, self._home = model, tuple(outputs), home
        self.exporters = (home.exporter,)
        self.tables = home.tables
        self.notes: list[str] = []
        self._signature: tuple[Declared, ...] = ()

    def declared(self) -> tuple[Declared, ...] | None:
        """Return one matrix of single precision, as wide as what it was fitted on."""
        width = getattr(self._model, "n_features_in_", None)
        if width is None:
            return None
        return (Declared("x", ir.DataType.FLOAT, (_ROWS, int(width))),)

    def arguments(self) -> tuple[str, ...] | None:
        """Call a single matrix x; columns of a table are named."""
        return None

    def settle(self, signature: Sequence[Declared]) -> None:
        """Take the inputs as one matrix, or several as the columns of a table."""
        self._signature = tuple(signature)

    def run(self, feeds: Feeds) -> Outputs:
        """Return what the methods return, in the precision of the inputs, vectors as columns."""
        home = self._home.calling(self._model)
        with warnings.catch_warnings(), home, refusals("the estimator"):
            warnings.simplefilter("ignore")
            table = self._table(feeds)
            results = [(name, method(table)) for name, method in self._methods().items()]
        arrays = [(name, self._array(result)) for name, result in results]
        return named(arrays, self._names, [each.name for each in self._signature])

    def _table(self, feeds: Feeds) -> Any:
        if len(feeds) == 1:
            return next(iter(feeds.values()))
        import pandas as pd

        return pd.DataFrame({name: column.reshape(-1) for name, column in feeds.items()})

    def _methods(self) -> Mapping[str, Callable[[Any], Any]]:
        """Return the methods whose results the converters write too, by the outputs' names."""
        model = self._model
        if hasattr(model, "predict_proba"):
            return {"label": model.predict, "probabilities": model.predict_proba}
        if hasattr(model, "predict"):
            kind = getattr(model, "_estimator_type", None) or _kind(model)
            return {"prediction" if kind == "regressor" else "label": model.predict}
        return {"transformed": model.transform}

    def _array(self, result: Any) -> np.ndarray:
        array = np.asarray(result.toarray() if hasattr(result, "toarray") else result)
        if array.dtype.kind == "f":
            doubles = all(each.dtype == ir.DataType.DOUBLE for each in self._signature)
            array = array.astype(np.float64 if doubles else np.float32)
            return array.reshape(len(array), -1)
        if array.dtype.kind in "iu":
            return array.astype(np.int64)
        return array.astype(object) if array.dtype.kind in "US" else array

    def write(
        self,
        exporter: str,
        signature: Sequence[Declared],
        feeds: Feeds,
        path: Path,
        opset: int | None,
    ) -> None:
        """Convert the estimator; outputs that no method of its own gives are left out."""
        del exporter
        home = self._home.calling(self._model)
        with warnings.catch_warnings(), home, refusals(""):
            warnings.simplefilter("ignore")
            proto = self._home.convert(self._model, signature, opset)
        wanted = len(self._methods())
        extra = [value.name for value in proto.graph.output[wanted:]]
        if len(proto.graph.output) < wanted:
            raise RefusedError(f"the converter wrote {len(proto.graph.output)} outputs")
        if extra:
            self.notes.append(f"left out: {', '.join(extra)}, for which there is no method")
            del proto.graph.output[wanted:]
        _shape_outputs(proto, list(self.run(feeds).values()))
        with refusals(""):
            onnx.save(proto, path, save_as_external_data=proto.ByteSize() > _INSIDE)


def _kind(model: Any) -> str | None:
    with contextlib.suppress(ImportError, AttributeError, TypeError):
        from sklearn.base import is_regressor

        return "regressor" if is_regressor(model) else None
    return None


def _shape_outputs(proto: onnx.ModelProto, found: Sequence[np.ndarray]) -> None:
    """Write the shapes that outputs have, rows open; those that converters write are not all so."""
    for value, array in zip(proto.graph.output, found, strict=True):
        shape = value.type.tensor_type.shape
        shape.SetInParent()
        del shape.dim[:]
        shape.dim.add().dim_param = _ROWS
        for size in array.shape[1:]:
            shape.dim.add().dim_value = size


def tensor_type(declared: Declared, types: Any) -> Any:
    """Return an input's type as the converters name it; ``types`` is their module."""
    names = {
        ir.DataType.FLOAT: "FloatTensorType",
        ir.DataType.DOUBLE: "DoubleTensorType",
        ir.DataType.INT64: "Int64TensorType",
        ir.DataType.INT32: "Int32TensorType",
        ir.DataType.BOOL: "BooleanTensorType",
        ir.DataType.STRING: "StringTensorType",
    }
    if declared.dtype not in names:
        raise RefusedError(f"input '{declared}': estimators take no {declared.dtype}")
    dims = [None if isinstance(dim, str) else dim for dim in declared.dims]
    return getattr(types, names[declared.dtype])(dims)
