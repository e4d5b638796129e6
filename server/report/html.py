"""HTML from elements; whatever is not HTML already is escaped."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape

from server.terminal.decimals import aligned
from shared.plain import shown_lines


class Html(str):
    """Text that is HTML already. Only `element` and `joined` make it, so nothing else gets in."""

    __slots__ = ()


def joined(*parts: str | None) -> Html:
    """The parts one after the other, text escaped; None is nothing."""
    return Html(
        "".join(
            part if isinstance(part, Html) else _text(part) for part in parts if part is not None
        )
    )


def _text(text: str) -> str:
    return escape(shown_lines(text))


def element(tag: str, *content: str | None, **attributes: str) -> Html:
    """An element; attributes as keywords, `class_` and `aria_label` for class and aria-label."""
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_text(value)}"'
        for name, value in attributes.items()
    )
    return Html(f"<{tag}{named}>{joined(*content)}</{tag}>")


def paragraph(*content: str | None, class_: str = "") -> Html:
    """A paragraph of text."""
    return element("p", *content, **({"class_": class_} if class_ else {}))


def section(identifier: str, title: str, *content: str | None) -> Html:
    """A section of the page under a heading that can be linked to."""
    heading = element("h2", title, id=f"{identifier}-heading")
    return element(
        "section", heading, *content, id=identifier, aria_labelledby=f"{identifier}-heading"
    )


def table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    text_columns: Collection[int] = (),
) -> Html:
    """A table whose first column names the rows; the others are numbers unless `text_columns`.

    The numbers of a column that are rounded have as many decimals in all rows.
    """

    def kind(column: int) -> str:
        return "text" if column == 0 or column in text_columns else "number"

    columns = [
        element("th", name, scope="col", class_=kind(column)) for column, name in enumerate(head)
    ]
    body = [
        element(
            "tr",
            element("th", row[0], scope="row", class_="text"),
            *(
                element("td", cell, class_=kind(column))
                for column, cell in enumerate(row[1:], start=1)
            ),
        )
        for row in aligned(rows)
    ]
    whole = element(
        "table",
        element("caption", element("span", caption)),
        element("thead", element("tr", *columns)),
        element("tbody", *body),
    )
    # A region that can be scrolled must be reachable by keyboard.
    return element("div", whole, class_="scroll", role="region", aria_label=caption, tabindex="0")


def tile(name: str, value: str, more: str) -> Html:
    """A key figure: what it is, its value, and a remark below it."""
    content = joined(element("dt", name), element("dd", value, class_="value"))
    return element("div", content, element("dd", more) if more else None)


def figure(plot: Html, caption: str, numbers: Html) -> Html:
    """A plot, what it shows, and its numbers to unfold; on paper they follow all the plots."""
    drawn = element("figure", plot, element("figcaption", caption))
    details = element("details", element("summary", "The numbers"), numbers, class_="numbers")
    return element("div", drawn, details, class_="drawn")
