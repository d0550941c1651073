"""Dimensions that are fixed on demand."""

from __future__ import annotations

import pytest

from onnxopt import graph
from onnxopt.base import Context
from onnxopt.errors import UsageError
from onnxopt.passes.fix_shapes import FixShapes
from tests.passes.tools import model_of

TEXT = """(float[batch,3,width] image, float[batch] scale, float unknown, float[?,2] free)
    => (float[batch,3,width] y) { y = Exp(image) }"""


def fixed(*shapes: str) -> tuple[int, dict[str, tuple[int | str | None, ...] | None]]:
    model = model_of(TEXT)
    model.graph.inputs[2].shape = None
    changes = FixShapes(shapes=shapes).run(model, Context())
    assert FixShapes(shapes=shapes).run(model, Context()) == 0
    values = [*model.graph.inputs, *model.graph.outputs]
    return changes, {value.name or "": graph.dims(value) for value in values}


def test_a_name_is_fixed_wherever_it_stands() -> None:
    changes, found = fixed("image=4,3,224")
    assert changes == 3
    assert found["image"] == found["y"] == (4, 3, 224)
    assert found["scale"] == (4,)
    assert found["free"] == (None, 2)


def test_dimensions_without_a_name_and_ranks_unknown() -> None:
    changes, found = fixed("free=5,2", "unknown=2,2")
    assert changes == 2
    assert found["free"] == (5, 2)
    assert found["unknown"] == (2, 2)
    assert found["image"] == ("batch", 3, "width")


def test_scalars_and_nothing() -> None:
    assert fixed("unknown=")[1]["unknown"] == ()
    assert fixed()[0] == 0


@pytest.mark.parametrize(
    ("shapes", "problem"),
    [
        (("imag=4,3,224",), r"expected INPUT=1,3,224,224 .*\(image, .*did you mean 'image'\?"),
        (("image",), "expected INPUT=1,3,224,224"),
        (("image=4,3",), "input 'image' has 3 dimensions"),
        (("image=4,4,224",), "input 'image' has 3 where 4 is given"),
        (("image=a,3,224",), "'a,3,224' is not a list of whole numbers"),
        (("image=4,,224",), "'4,,224' is not a list of whole numbers"),
        (("image=-1,3,224",), "a dimension cannot be negative"),
        (("image=4,3,224", "scale=5"), "'batch' is 4 already"),
    ],
)
def test_errors(shapes: tuple[str, ...], problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as raised:
        FixShapes(shapes=shapes).run(model_of(TEXT), Context())
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(f"shape '{shapes[-1]}': ")
