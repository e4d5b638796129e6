"""The few shapes that the drawings of docs/pictures are made of, as SVG text."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

INK, QUIET, LINE = "#1d2b33", "#53656f", "#8799a3"
FILLS = {"site": "#e6f4f1", "hub": "#fdf1dc", "both": "#eceff1", "plain": "#ffffff"}


@dataclass
class Drawing:
    """Shapes on a white card, so that it can be read on a dark page, too; units are pixels."""

    width: int
    height: int
    title: str
    shapes: list[str] = field(default_factory=list)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        title: str,
        lines: tuple[str, ...] = (),
        *,
        fill: str = "plain",
        dashed: bool = False,
    ) -> None:
        """A rounded box with a title, and lines of text below it."""
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        self.shapes.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" '
            f'fill="{FILLS[fill]}" stroke="{LINE}"{dash}/>'
        )
        self.text(x + 12, y + 24, title, weight="600")
        for number, line in enumerate(lines):
            name, _, rest = line.rpartition("|")  # "name|what it is": two columns
            self.text(x + 12, y + 45 + 19 * number, name, size=13)
            self.text(x + (98 if name else 12), y + 45 + 19 * number, rest, colour=QUIET, size=13)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: int = 14,
        weight: str = "400",
        colour: str = INK,
        anchor: str = "start",
    ) -> None:
        """One line of text; (x, y) is where its baseline begins, or its middle or end."""
        self.shapes.append(
            f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{colour}" '
            f'text-anchor="{anchor}">{escape(words)}</text>'
        )

    def arrow(self, x1: float, y1: float, x2: float, y2: float, *, both: bool = False) -> None:
        """A straight arrow to (x2, y2), with a head at both ends if so."""
        start = ' marker-start="url(#head)"' if both else ""
        self.shapes.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{INK}" stroke-width="1.5" '
            f'marker-end="url(#head)"{start}/>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """A thin dashed line."""
        self.shapes.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{LINE}" '
            'stroke-dasharray="3 4"/>'
        )

    def svg(self) -> str:
        """The file's text."""
        head = (
            '<marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
            'markerHeight="7" orient="auto-start-reverse">'
            f'<path d="M0 0 L10 5 L0 10 z" fill="{INK}"/></marker>'
        )
        card = f'<rect width="{self.width}" height="{self.height}" rx="10" fill="#ffffff"/>'
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img" '
            'font-family="system-ui, -apple-system, Segoe UI, Roboto, sans-serif">',
            f"<title>{escape(self.title)}</title>", f"<defs>{head}</defs>", card,
            *self.shapes, "</svg>\n",
        ])  # fmt: skip
