"""From a figure of matplotlib to SVG that lies in a page and takes the page's colours."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from onnxopt.page.extra import require
from onnxopt.page.palette import INK, MUTED, RULE, VARIABLES
from onnxopt.page.words import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 9.6
"""Inches; a page is that wide on paper too."""

_SETTINGS: dict[Any, Any] = {
    "axes.edgecolor": RULE,
    "axes.axisbelow": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "font.size": 9,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "onnxopt",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": RULE,
    "xtick.labelcolor": INK,
    "ytick.color": RULE,
    "ytick.labelcolor": INK,
}
_NAMESPACE = re.compile(r"^\{[^}]*\}")
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_FONT = re.compile(r"font-family: [^;]*; ?")
_REFERENCE = re.compile(r"(?<=#)[\w-]+(?=\)?$)")


@contextlib.contextmanager
def canvas(height: float) -> Iterator[Figure]:
    """Give an empty figure that is ``height`` inches high; draw and call ``svg_of`` within."""
    require()
    import matplotlib
    from matplotlib.figure import Figure

    log = logging.getLogger("matplotlib.font_manager")
    before = log.level
    log.setLevel(logging.ERROR)  # the browser has the fonts for what matplotlib's cannot show
    try:
        with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            yield Figure(figsize=(WIDTH, height), layout="constrained")
    finally:
        log.setLevel(before)


def svg_of(figure: Figure, titles: Mapping[str, Sequence[str]] | None = None) -> str:
    """Return a figure as SVG for a page.

    ``titles`` gives, by the ``gid`` of an artist, what to tell when the pointer rests on its
    marks, in the order of drawing.
    """
    target = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(target, format="svg", metadata=nothing)
    root = ET.fromstring(target.getvalue())
    _title(root, titles or {})
    _adapt(root, f"p{zlib.crc32(target.getvalue()):08x}-")
    for name in ("width", "height", "version"):
        width = root.attrib.pop(name)
        if name == "width":
            root.set("style", f"width: {width}")
    root.set("class", "plot")
    root.set("aria-hidden", "true")  # the page says it in words
    return ET.tostring(root, encoding="unicode")


def _title(root: ET.Element, titles: Mapping[str, Sequence[str]]) -> None:
    """Put the words for the pointer into the marks of the artists that carry these ids."""
    for group in root.iter():
        texts = titles.get(group.get("id", ""))
        if texts is None:
            continue
        drawn = [e for e in group.iter() if _bare(e.tag) == "use"]
        marks = drawn or [e for e in group.iter() if _bare(e.tag) == "path"]
        for mark, text in zip(marks, texts, strict=True):
            ET.SubElement(mark, "title").text = clean(text)


def _adapt(root: ET.Element, prefix: str) -> None:
    """Drop what is of no use in a page; name colours, fonts and ids so that they fit into one."""
    for parent in root.iter():
        for child in list(parent):
            if _bare(child.tag) in ("metadata", "style"):
                parent.remove(child)
    referred = {
        found for e in root.iter() for v in e.attrib.values() for found in _REFERENCE.findall(v)
    }
    for element in root.iter():
        element.tag = _bare(element.tag)
        attributes = {_bare(name): value for name, value in element.attrib.items()}
        if attributes.get("id") in referred:
            attributes["id"] = prefix + attributes["id"]
        else:
            attributes.pop("id", None)
        for name in attributes.keys() & {"href", "clip-path"}:
            attributes[name] = _REFERENCE.sub(
                lambda found: prefix + found.group(), attributes[name]
            )
        if "style" in attributes:
            attributes["style"] = _style(attributes["style"])
        element.attrib.clear()
        element.attrib.update(attributes)


def _bare(name: object) -> str:
    return _NAMESPACE.sub("", str(name))


def _style(value: str) -> str:
    sized = _FONT.sub("", value)
    return _COLOUR.sub(lambda found: _variable(found.group()), sized)


def _variable(colour: str) -> str:
    return f"var({VARIABLES[colour]}, {colour})" if colour in VARIABLES else colour


def engineering(axis: Axes, *, x: str | None = None, y: str | None = None) -> None:
    """Write ticks with prefixes of the SI before these units: ``2 ms``, ``2 us`` as elsewhere."""
    from matplotlib.ticker import EngFormatter

    class Plain(EngFormatter):
        ENG_PREFIXES = EngFormatter.ENG_PREFIXES | {-6: "u"}

    if x:
        axis.xaxis.set_major_formatter(Plain(unit=x))
    if y:
        axis.yaxis.set_major_formatter(Plain(unit=y))
