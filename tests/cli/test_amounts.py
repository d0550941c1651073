"""Times and shares as people write them."""

from __future__ import annotations

import pytest
import typer

from onnxopt.cli.amounts import seconds, share


@pytest.mark.parametrize(
    ("text", "value"), [("60", 60), ("60s", 60), ("1.5 m", 90), ("2min", 120), (14.0, 14)]
)
def test_times(text: str | float, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "5 weeks", "1.2.3", "nan", "inf"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no length of time"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "value"), [("1%", 0.01), ("0.01", 0.01), (0.5, 0.5), ("2 %", 0.02)]
)
def test_shares(text: str | float, value: float) -> None:
    assert share(text) == value


@pytest.mark.parametrize("text", ["", "%", "0", "-1%", "100%", "1", "nan%"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no share"):
        share(text)
