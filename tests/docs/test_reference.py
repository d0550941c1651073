"""The reference is what the code says."""

from __future__ import annotations

from tests.docs.reference import PATH, text


def test_the_reference_is_fresh() -> None:
    assert PATH.read_text("utf-8") == text(), "run 'make reference'"


def test_everything_is_in_it() -> None:
    page = text()
    for name in ("`fold-constants`", "`cpu`", "`torch`", "### onnxopt deploy", "`--max-drop`"):
        assert name in page
