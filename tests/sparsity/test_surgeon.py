"""SparseGPT: the recursion is that of solving anew, and beats zeros that nothing makes up for."""

from __future__ import annotations

import numpy as np
import pytest

from onnxopt.sparsity import masks, surgeon
from onnxopt.sparsity.masks import Density


def problem(seed: int, rows: int = 6, columns: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Return a weight and inputs that are correlated, some far larger than others."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(columns, columns)) * random.lognormal(0, 1, columns)
    weight = random.normal(size=(rows, columns)).astype(np.float32)
    return weight, random.normal(size=(200, columns)) @ mixed


def loss(weight: np.ndarray, other: np.ndarray, x: np.ndarray) -> float:
    return float((((weight - other) @ x.T) ** 2).sum())


def damped(x: np.ndarray) -> np.ndarray:
    gram = x.T @ x
    return np.asarray(gram + 0.01 * np.diag(gram).mean() * np.eye(len(gram)))


def solved(weight: np.ndarray, gone: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Set one column after the other to zero where it goes, and solve anew for those behind it."""
    left = weight.astype(np.float64).copy()
    for at in range(left.shape[1]):
        lost = np.where(gone[:, at], left[:, at], 0)
        left[:, at] -= lost
        rest = np.arange(at + 1, left.shape[1])
        if len(rest):
            after = gram[np.ix_(rest, rest)]
            left[:, rest] += np.outer(lost, np.linalg.solve(after, gram[rest, at]))
    return left


@pytest.mark.parametrize("density", [Density(ratio=0.5), Density(keep=2, of=4)])
def test_makes_up_as_solving_anew_does(density: Density) -> None:
    weight, x = problem(3)
    found = surgeon.sparsegpt(weight, x.T @ x, density)
    np.testing.assert_allclose(found, solved(weight, found == 0, damped(x)), atol=1e-8)


@pytest.mark.parametrize("density", [Density(ratio=0.5), Density(keep=2, of=4)])
def test_loses_less_than_zeros_alone(density: Density) -> None:
    shares = []
    for seed in range(6):
        weight, x = problem(seed, columns=300)
        plain = np.where(masks.choose(np.abs(weight), density), 0, weight)
        found = surgeon.sparsegpt(weight, x.T @ x, density)
        assert abs(float((found == 0).mean()) - 0.5) < 0.01
        shares.append(loss(weight, found, x) / loss(weight, plain, x))
    assert np.median(shares) < 0.3


def test_blocks_keep_as_many_as_asked() -> None:
    weight, x = problem(1, columns=40)
    found = surgeon.sparsegpt(weight, x.T @ x, Density(keep=2, of=4))
    assert ((found.reshape(6, 10, 4) != 0).sum(axis=2) == 2).all()


def test_inputs_that_are_always_zero_do_no_harm() -> None:
    weight, x = problem(2)
    x[:, 3] = 0
    found = surgeon.sparsegpt(weight, x.T @ x, Density(ratio=0.5))
    assert np.isfinite(found).all()
    assert loss(weight, found, x) < loss(weight, np.zeros_like(weight), x)
