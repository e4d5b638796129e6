"""Elements, numbers and colours that the pages are made of."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.report import numbers
from server.report.html import Html, element, joined, table
from server.report.plot import BLUE, drawing, to_svg
from server.report.style import STYLE
from shared.plain import shown_lines

TEXT = st.text(st.characters())  # surrogates and control characters too


@given(TEXT, TEXT)
def test_text_stays_text(read_page: Callable[[str], Any], content: str, attribute: str) -> None:
    node = read_page(element("p", content, class_=attribute)).children[0]
    assert (node.text, node.attributes) == (
        shown_lines(content), {"class": shown_lines(attribute)},
    )  # fmt: skip
    if all(c.isprintable() or c == "\n" for c in content):
        assert node.text == content


def test_html_stays_html() -> None:
    bold = element("b", "1 < 2")
    assert bold == "<b>1 &lt; 2</b>"
    assert joined("a & ", bold, None) == "a &amp; <b>1 &lt; 2</b>"
    assert not isinstance(bold + "<i>", Html)


def test_a_table_says_what_is_a_number(read_page: Callable[[str], Any]) -> None:
    root = read_page(table("T", ("a", "b", "c"), [("x", "1", "y")], text_columns=(2,)))
    assert [cell.attributes["class"] for cell in root.all("th", "td")] == [
        "text",
        "number",
        "text",
    ] * 2


@given(st.sets(st.integers(1, 60)))
def test_runs_hold_their_numbers_and_do_not_touch(rounds: set[int]) -> None:
    found = numbers.runs(rounds)
    assert {n for first, last in found for n in range(first, last + 1)} == rounds
    assert all(b[0] > a[1] + 1 for a, b in pairwise(found))


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (numbers.ranges([3, 1, 2, 7]), "1 to 3, 7"),
        (numbers.ranges([]), "none"),
        (numbers.share(None), "not defined"),
        (numbers.share(0.98765), "0.988"),
        (numbers.interval((0.5, 1.0), 2), "0.50 to 1.00"),
        (numbers.count(None), "not shown"),
        (numbers.count(12345), "12,345"),
        (numbers.megabytes(1234), "1.2 kB"),
        (numbers.megabytes(12_345_678), "12.3 MB"),
        (numbers.megabytes(12_345_678_901), "12.35 GB"),
        (numbers.duration(1.25), "1.2 s"),
        (numbers.duration(99.4), "99 s"),
        (numbers.duration(125.4), "2 min 5 s"),
        (numbers.duration(3540), "59 min"),
        (numbers.duration(7260), "2 h 1 min"),
        (numbers.percent(0.856), "86\u00a0%"),
        (numbers.in_words(1, "site", "sites"), "one site"),
        (numbers.in_words(12, "site", "sites"), "12 sites"),
        (numbers.listed(["a", "b", "c"]), "a, b and c"),
    ],
)
def test_numbers_read_well(made: str, text: str) -> None:
    assert made == text


def test_what_matplotlib_would_interpret_is_text(read_page: Callable[[str], Any]) -> None:
    label = "$\\frac{1$ <b> & \U0001f480"
    with drawing(2) as canvas:
        canvas.subplots().set_title(label, color=BLUE)
        svg = to_svg(canvas, "one", "title", "description")
    root = read_page(svg)
    assert label in {node.text for node in root.all("text")}
    assert "var(--blue)" in svg
    assert "xmlns" not in svg


def _luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    linear = []
    for start in (1, 3, 5):
        value = int(colour[start : start + 2], 16) / 255
        linear.append(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


SCHEMES = [
    dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block))
    for block in re.findall(r":root \{[^}]*--paper[^}]*\}", STYLE)
]


def test_there_is_a_light_and_a_dark_scheme() -> None:
    light, dark = SCHEMES
    assert light.keys() == dark.keys()
    assert _luminance(light["paper"]) > 0.9
    assert _luminance(dark["paper"]) < 0.1


@pytest.mark.parametrize(
    ("scheme", "front", "back"),
    [
        *product((0, 1), ("ink", "muted", "blue", "orange", "green", "purple"), ("paper", "panel")),
        *product((0, 1), ("ink",), ("warn",)),
    ],
)
def test_contrast_is_enough_for_text(scheme: int, front: str, back: str) -> None:
    """At least 4.5 : 1, WCAG 2.2, 1.4.3."""
    colours = SCHEMES[scheme]
    low, high = sorted((_luminance(colours[front]), _luminance(colours[back])))
    assert (high + 0.05) / (low + 0.05) >= 4.5
