"""Cutting compared with zeroing: both are computed by ONNX Runtime with its optimizer off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from onnxopt import graph
from onnxopt.coupling import Coupling, Group, couple, cut

Feeds = Mapping[str, np.ndarray]


def run(model: ir.Model, feeds: Feeds) -> list[np.ndarray]:
    """Return the outputs of a model that the checker accepts."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(proto.SerializeToString(), options)
    return list(session.run(None, feeds))


def free(coupling: Coupling) -> list[Group]:
    """Return the groups that may shrink."""
    return [group for group in coupling.groups if group.blocked is None]


def choose(groups: Iterable[Group], seed: int = 0) -> dict[str, np.ndarray]:
    """Keep about half of the units of each group, at least one, at random."""
    random = np.random.default_rng(seed)
    keep = {}
    for group in groups:
        count = int(random.integers(1, group.units)) if group.units > 1 else 1
        keep[group.name] = np.sort(random.choice(group.units, count, replace=False))
    return keep


def plant(model: ir.Model, groups: Iterable[Group], keep: Mapping[str, np.ndarray]) -> None:
    """Set every number of the units that are not kept to zero, in all constants."""
    for group in groups:
        gone = np.setdiff1d(np.arange(group.units), keep[group.name])
        for member in group.members:
            held = graph.tensor(member.value)
            if member.node is None or held is None or not gone.size:
                continue
            contents = np.moveaxis(held.numpy().copy(), member.axis, 0)
            contents[member.positions[gone].ravel()] = 0
            hold(member.value, np.moveaxis(contents, 0, member.axis))


def hold(value: ir.Value, contents: np.ndarray) -> None:
    """Give a constant other contents."""
    held = graph.tensor_of(contents)
    producer = value.producer()
    if producer is None:
        value.const_value = held
    else:
        producer.attributes["value"] = ir.AttrTensor("value", held)


def assert_exact(model: ir.Model, feeds: Feeds, seed: int = 0) -> list[Group]:
    """Cut planted zeros out of every group; the outputs stay. Returns the groups."""
    groups = free(couple(model))
    keep = choose(groups, seed)
    plant(model, groups, keep)
    before = run(model, feeds)
    removed = cut(model, keep)
    assert removed == sum(group.units - len(keep[group.name]) for group in groups)
    for old, new in zip(before, run(model, feeds), strict=True):
        assert old.shape == new.shape
        np.testing.assert_allclose(new, old, rtol=1e-3, atol=1e-4 * max(1, np.abs(old).max()))
    return groups
