"""Reports as a page: one HTML file with tables and plots, no script, nothing loaded from elsewhere.

    page = Page("Two models", "measured on one core")
    page.text("The second model is faster.").table(("model", "median"), [("a", "2 ms")])
    page.figure(forest([Interval("b / a", 0.81, 0.79, 0.83)], axis="latency, b over a"))
    page.save(Path("report.html"))

Importing this costs nothing: jinja2 and matplotlib, the extra ``onnxopt[html]``, come when a page
or a plot is made. ``check`` says early, before anything long is run, whether they are there.
"""

from onnxopt.page.bars import bars
from onnxopt.page.distribution import distribution
from onnxopt.page.document import Kind, Page, check
from onnxopt.page.families import family
from onnxopt.page.forest import forest
from onnxopt.page.graph import END, Edge, Node, graph, undrawn
from onnxopt.page.lines import lines
from onnxopt.page.plot import Band, Interval, Plot, Point
from onnxopt.page.roofline import Ceiling, Mark, roofline
from onnxopt.page.scatter import Spot, scatter

__all__ = [
    "END",
    "Band",
    "Ceiling",
    "Edge",
    "Interval",
    "Kind",
    "Mark",
    "Node",
    "Page",
    "Plot",
    "Point",
    "Spot",
    "bars",
    "check",
    "distribution",
    "family",
    "forest",
    "graph",
    "lines",
    "roofline",
    "scatter",
    "undrawn",
]
