"""Made-up feeds: what a model would really be fed, at sizes that it accepts."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from onnxopt.errors import ModelError
from onnxopt.feeds import Mode, Plan, random_samples
from tests.verify.planted import evaluator, model_of, tensor, weight


def identity_of(*inputs: ir.Value) -> ir.Model:
    outputs = [ir.val(f"{v.name}_out", v.dtype, v.shape) for v in inputs]
    nodes = [
        ir.node("Identity", [value], outputs=[output])
        for value, output in zip(inputs, outputs, strict=True)
    ]
    return model_of(list(inputs), nodes, outputs)


def first(model: ir.Model, mode: Mode = Mode.RANDOM) -> dict[str, np.ndarray]:
    plan = Plan.of(model)
    return dict(plan.feeds(next(plan.sizes()), mode))


def test_the_same_seed_gives_the_same_samples() -> None:
    model = identity_of(tensor("x", ["batch", "seq", 3]), tensor("i", ["batch"], "INT32"))
    one, two = (list(random_samples(model, seed=3, count=6)) for _ in range(2))
    other = list(random_samples(model, seed=4, count=6))
    assert all(np.array_equal(a["x"], b["x"]) for a, b in zip(one, two, strict=True))
    assert not np.array_equal(one[0]["x"], other[0]["x"])


def test_a_symbol_has_one_size_everywhere_and_two_sizes_in_turn() -> None:
    model = identity_of(tensor("x", ["batch", "seq", 3]), tensor("y", ["seq", "batch"]))
    sizes = [feeds["x"].shape for feeds in random_samples(model)]
    assert len(set(sizes)) == 2
    for feeds in random_samples(model):
        assert feeds["y"].shape == feeds["x"].shape[1::-1]


def test_token_ids_stay_below_the_table_they_index() -> None:
    ids, y = tensor("input_ids", ["batch", "seq"], "INT64"), tensor("y", ["batch", "seq", 4])
    wide = tensor("wide", ["batch", "seq", 1], "INT64")
    table = weight("table", np.ones((11, 4), np.float32))
    nodes = [
        ir.node("Unsqueeze", [ids, weight("axis", np.array([2]))], outputs=[wide]),
        ir.node("Gather", [table, wide], outputs=[y]),
    ]
    model = model_of([ids], nodes, [y])
    drawn = np.concatenate([f["input_ids"].ravel() for f in random_samples(model, count=20)])
    assert drawn.min() == 0
    assert drawn.max() == 10


def test_a_rate_is_one_that_the_model_compares_with() -> None:
    rate, y = tensor("sr", [], "INT64"), tensor("y", [], "BOOL")
    model = model_of(
        [rate], [ir.node("Equal", [rate, weight("known", np.array(16000))], outputs=[y])], [y]
    )
    assert all(int(feeds["sr"]) == 16000 for feeds in random_samples(model, count=4))


def test_masks_and_positions_and_past_belong_together() -> None:
    model = identity_of(
        tensor("input_ids", ["batch", "seq"], "INT64"),
        tensor("attention_mask", ["batch", "past_length + seq"], "INT64"),
        tensor("position_ids", ["batch", "seq"], "INT64"),
        tensor("past_key_values.0.key", ["batch", 2, "past_length", 8]),
    )
    for feeds in random_samples(model, count=4):
        mask, past = feeds["attention_mask"], feeds["past_key_values.0.key"].shape[2]
        assert mask.shape[1] == past + feeds["input_ids"].shape[1]
        assert mask.sum(axis=1).min() >= 1
        assert np.all(np.diff(mask, axis=1) <= 0)
        assert feeds["position_ids"][0, 0] == past


def test_a_mask_covers_the_past_and_a_fixed_number_of_tokens() -> None:
    ids, y = tensor("input_ids", ["batch", 3], "INT64"), tensor("y", ["batch", 3, 4])
    mask, past = tensor("attention_mask", ["batch", "total"]), tensor("past", [1, 2, "past", 8])
    table = weight("table", np.ones((11, 4), np.float32))
    model = model_of([ids, mask, past], [ir.node("Gather", [table, ids], outputs=[y])], [y])
    for feeds in random_samples(model):
        assert feeds["attention_mask"].shape[1] == feeds["past"].shape[2] + 3


@pytest.mark.parametrize(
    "dtype", ["FLOAT16", "BFLOAT16", "DOUBLE", "UINT8", "INT8", "BOOL", "STRING"]
)
def test_every_type_can_be_made_up_and_run(dtype: str) -> None:
    model = identity_of(tensor("x", [2, 3], dtype))
    for feeds in random_samples(model, count=6):
        assert feeds["x"].shape == (2, 3)
        evaluator()(model, feeds)


def test_bytes_cover_their_range() -> None:
    drawn = first(identity_of(tensor("image", [64, 64], "UINT8")))["image"]
    assert drawn.min() == 0
    assert drawn.max() == 255


def test_edges_hold_zeros_of_both_signs() -> None:
    drawn = first(identity_of(tensor("x", [64, 64])), Mode.EDGES)["x"]
    assert np.any((drawn == 0) & np.signbit(drawn))
    assert np.any((drawn == 0) & ~np.signbit(drawn))


def test_sizes_that_the_model_refuses_are_not_used() -> None:
    x, y = tensor("x", ["batch", "time"]), tensor("y", ["batch", "n", 32])
    shape = weight("shape", np.array([0, -1, 32]))
    model = model_of([x], [ir.node("Reshape", [x, shape], outputs=[y])], [y])
    found = list(random_samples(model, evaluate=evaluator()))
    assert len(found) == 2
    assert all(feeds["x"].shape[1] % 32 == 0 for feeds in found)


def test_bombs_and_what_is_no_tensor_are_refused_in_one_line() -> None:
    with pytest.raises(ModelError, match="too many to make up"):
        first(identity_of(tensor("x", [2**20, 2**20])))
    sequence = ir.Value(name="s", type=ir.SequenceType(ir.TensorType(ir.DataType.FLOAT)))
    out = ir.val("n", ir.DataType.INT64, [])
    model = model_of([sequence], [ir.node("SequenceLength", [sequence], outputs=[out])], [out])
    with pytest.raises(ModelError, match="input 's'"):
        Plan.of(model)
