"""Templates, and how text from anywhere gets into them unharmed."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from onnxopt.page.extra import require
from onnxopt.page.words import clean

if TYPE_CHECKING:
    from jinja2 import Environment


@functools.cache
def environment() -> Environment:
    """Return what renders the templates of this folder: everything put in is escaped and cleaned.

    Raises UsageError where the extra ``html`` is missing.
    """
    require()
    import jinja2
    from markupsafe import Markup

    def finalize(value: object) -> object:
        return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    return jinja2.Environment(
        loader=jinja2.PackageLoader("onnxopt.page", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )
