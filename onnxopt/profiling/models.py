"""Model files to profile, and what to feed them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnxopt.errors import ModelError, UsageError
from onnxopt.measure.feeding import feeds_for, told
from onnxopt.measure.models import Matrix, feeds_of, variants_of
from onnxopt.measure.run import Progress, check_threads
from onnxopt.profiling import profile
from onnxopt.profiling.record import Effort
from onnxopt.profiling.report import ProfileReport


def profile_files(
    models: Sequence[Path],
    *,
    provider: str = "cpu",
    threads: int = 0,
    batch: int | None = None,
    shapes: Sequence[str] = (),
    samples: Path | None = None,
    effort: Effort | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> ProfileReport:
    """Profile one or two files on a target, on samples or on made-up feeds of the shapes given.

    Raises ModelError for a file that is no model, feeds that do not fit, or models with other
    inputs than the first; BackendError for a target that cannot be used or cannot record;
    UsageError for another number of models and for more threads than CPUs.
    """
    if not 1 <= len(models) <= 2:
        raise UsageError(f"profile takes one model, or two to compare, not {len(models)}")
    matrix = Matrix(
        providers=(provider,),
        threads=(threads,),
        batches=() if batch is None else (batch,),
        shapes=tuple(shapes),
    )
    if len(matrix.inputs()) > 1:
        raise UsageError("profile looks at one set of shapes: give each input's shape once")
    variants = variants_of(models, matrix)
    fault = next((each.fault for each in variants if each.fault is not None), None)
    if fault is not None:
        raise ModelError(fault)
    check_threads(variants)
    effort = effort or Effort()
    given = None if samples is None else feeds_of(samples, models[0], matrix.batches)
    feeds = feeds_for(variants[0], given, effort.timeout_s, seed)
    fed = told(feeds, given=given is not None)
    return profile(variants, feeds, effort=effort, seed=seed, progress=progress, fed=fed)
