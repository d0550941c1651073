"""Metrics by name: those that are built in, and functions of the user's own."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from onnxopt.comparison.metrics import Kind, Metric, agreement, noise, perplexity, top
from onnxopt.errors import UsageError
from onnxopt.spec import nearest
from onnxopt.target import Outputs

_BUILT_IN: dict[str, Callable[[str | None], Metric]] = {
    "top1": lambda output: top(1, output),
    "top5": lambda output: top(5, output),
    "agreement": agreement,
    "noise": noise,
    "perplexity": perplexity,
}

Own = Callable[[Outputs, np.ndarray | None], float]


def metric_of(text: str, output: str | None = None) -> Metric:
    """Return the metric of a name, or of ``module:function``.

    A function takes the outputs by name and the label, None where the sample has none, and returns
    a number for the sample, larger ones being better. It is looked for in the working directory
    too. Raises UsageError where there is no such metric or it cannot be imported.
    """
    if text in _BUILT_IN:
        return _BUILT_IN[text](output)
    module, colon, name = text.partition(":")
    if not colon:
        raise UsageError(
            f"unknown metric '{text}'{nearest(text, _BUILT_IN) or '.'} There are "
            f"{', '.join(_BUILT_IN)}, and 'module:function' of your own"
        )
    found = getattr(_imported(module), name, None)
    if not callable(found):
        raise UsageError(f"metric '{text}': the module has no function '{name}'")
    return own(text, found)


def own(name: str, function: Own) -> Metric:
    """Make a metric of a function; a unit is one sample."""

    def score(outputs: Outputs, label: np.ndarray | None) -> np.ndarray:
        return np.array([[_called(name, function, outputs, label), 1.0]])

    return Metric(name=name, score=score, kind=Kind.MEAN)


def _imported(module: str) -> Any:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(module)
    except (ArithmeticError, ImportError, LookupError, NameError, SyntaxError) as problem:
        raise UsageError(f"metric '{module}' cannot be imported: {problem}") from problem
    except (AttributeError, OSError, TypeError, ValueError) as problem:
        raise UsageError(f"metric '{module}' cannot be imported: {problem}") from problem
    finally:
        sys.path.remove(here)


def _called(name: str, function: Own, outputs: Outputs, label: np.ndarray | None) -> float:
    try:
        return float(function(outputs, label))
    except (ArithmeticError, AssertionError, LookupError, NameError, RuntimeError) as problem:
        error: BaseException = problem
    except (AttributeError, OSError, TypeError, ValueError) as problem:
        error = problem
    frame = traceback.extract_tb(error.__traceback__)[-1]
    kind = type(error).__name__
    raise UsageError(f"metric '{name}': {kind}: {error} ({frame.filename}, line {frame.lineno})")
