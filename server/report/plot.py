"""Plots as inline SVG whose colours and fonts are the page's, light or dark.

matplotlib draws with the stand-in colours below; in its SVG they become the style sheet's.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from server.report.html import Html, element

LETTERS = 24
"""Longer labels are cut; the table beside the plot has them whole."""


@dataclass(frozen=True)
class Row:
    """A line of the plot; without an interval the value alone."""

    label: str
    value: float
    interval: tuple[float, float] | None


def forest(rows: Sequence[Row], axis: str, middle: float, name: str, description: str) -> Html:
    """The rows from top to bottom, with a dotted line at `middle`, where there is no effect."""
    with drawing(1.1 + 0.36 * len(rows)) as canvas:
        axes: Axes = canvas.subplots()
        axes.axvline(middle, color=MUTED, linewidth=0.9, linestyle=":")
        for number, row in enumerate(rows):
            if row.interval is not None:
                axes.plot(row.interval, (number, number), color=BLUE, linewidth=1.6)
            axes.plot(row.value, number, "s", color=BLUE, markersize=5)
        axes.set_yticks(range(len(rows)), [_cut(row.label) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(axis)
        return to_svg(canvas, name, axis, description)


def _cut(label: str, most: int = LETTERS) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}\u2026"


_COLUMNS = {3: 16, 2: 26}
"""Columns of a legend -> the letters that its labels may then have."""
_LONGEST, _LINE = 52, 0.18
"""Letters of a legend's label in one column; inches of a line."""


INK, MUTED, GRID, PAPER = "#010101", "#020202", "#030303", "#040404"
BLUE, ORANGE, GREEN, PURPLE = "#010102", "#010103", "#010104", "#010105"
_VARIABLES = {
    INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper",
    BLUE: "blue", ORANGE: "orange", GREEN: "green", PURPLE: "purple",
}  # fmt: skip
SERIES = (BLUE, ORANGE, GREEN, PURPLE, INK, MUTED)
"""Colours of curves that are drawn in one plot, the first one first."""
LINES = (
    (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)),
    (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (11, 3)), (0, (2.5, 2.5)),
)  # fmt: skip
"""Dashes of further lines, so that colour is not all that distinguishes them."""

WIDTH = 4.6
"""Inches; a phone shows it about as large as it is."""
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "text.parse_math": False,
    "font.size": 9.5, "axes.titlesize": 9.5, "axes.labelsize": 9.5, "legend.fontsize": 9,
    "xtick.labelsize": 9, "ytick.labelsize": 9,
    "text.color": INK, "axes.edgecolor": MUTED, "axes.labelcolor": INK,
    "xtick.color": MUTED, "ytick.color": MUTED, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "axes.facecolor": "none", "figure.facecolor": "none", "savefig.facecolor": "none",
    "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.6, "axes.axisbelow": True,
    "lines.linewidth": 1.6, "legend.frameon": False, "hatch.color": MUTED,
    "figure.constrained_layout.use": True,
}  # fmt: skip


@contextmanager
def drawing(height: float) -> Iterator[Figure]:
    """A figure of the page's width, `height` inches high, to be drawn on within the context."""
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(WIDTH, height))


def legend(axes: Axes, columns: int = 2) -> None:
    """A legend above the axes, where it covers no data, in as many columns as its labels allow."""
    handles, labels = axes.get_legend_handles_labels()
    longest = max(map(len, labels), default=0)
    fitting = next((n for n, most in _COLUMNS.items() if longest <= most), 1)
    used = min(columns, fitting)
    # A legend of many lines takes its height from the page, not from the plot.
    lines = -(-len(labels) // used) - -(-len(labels) // columns)
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.set_figheight(figure.get_figheight() + _LINE * lines)
    axes.legend(
        handles, [_cut(label, _LONGEST) for label in labels],
        loc="lower left", bbox_to_anchor=(0, 1), ncols=used, borderaxespad=0.5,
        columnspacing=1.1, handlelength=1.9, handletextpad=0.5,
    )  # fmt: skip


def to_svg(figure: Figure, name: str, title: str, description: str) -> Html:
    """The figure as an SVG element with a text alternative; `name` is unique on the page."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # The reader's fonts show the text, and they have more letters than the one that measures.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        canvas: Any = FigureCanvasSVG(figure)  # matplotlib says nothing of this method's types
        canvas.print_svg(buffer, metadata=nothing)  # `savefig` draws everything twice
    text = buffer.getvalue()
    view = re.search(r'viewBox="([^"]+)"', text)
    assert view is not None
    inner = text[text.index(">", view.end()) + 1 : text.rindex("</svg>")]
    inner = re.sub(r"<style.*?</style>", "", inner, flags=re.DOTALL)  # it would style the page
    inner = re.sub(r"<metadata>.*?</metadata>", "", inner, flags=re.DOTALL)
    inner = re.sub(r"<!--.*?-->", "", inner, flags=re.DOTALL)
    inner = inner.replace("xlink:href=", "href=")
    inner = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", inner)
    inner = re.sub(r"font: ([0-9.]+px) [^;\"]+", r"font-size: \1", inner)
    inner = re.sub(r"font-family: [^;\"]+;?", "", inner)
    for stand_in, variable in _VARIABLES.items():
        inner = inner.replace(stand_in, f"var(--{variable})")
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        Html(inner),
        class_="plot",
        viewBox=view[1],
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )
