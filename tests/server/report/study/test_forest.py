from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from server.report.plot import LETTERS, Row, forest


def drawn(*rows: Row) -> ElementTree.Element:
    return ElementTree.fromstring(str(forest(rows, "AUROC", 0.5, "areas", "Areas of all arms.")))


def labels(plot: ElementTree.Element) -> list[str]:
    texts = ("".join(one.itertext()).strip() for one in plot.iter("text"))
    return [text for text in texts if re.fullmatch(r"arm.*", text)]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("arm", "arm"),
        ("arm" + "x" * (LETTERS - 3), "arm" + "x" * (LETTERS - 3)),
        ("arm" + "x" * (LETTERS - 2), "arm" + "x" * (LETTERS - 4) + "\u2026"),
    ],
)
def test_labels_have_room(label: str, expected: str) -> None:
    assert labels(drawn(Row(label, 0.7, (0.6, 0.8)))) == [expected]


def test_rows_come_from_top_to_bottom_and_need_no_interval() -> None:
    plot = drawn(Row("arm a", 0.7, (0.6, 0.8)), Row("arm b", 0.9, None))
    assert labels(plot) == ["arm a", "arm b"]
    heights = [
        float(one.attrib["y"]) for one in plot.iter("text") if "arm" in "".join(one.itertext())
    ]
    assert heights == sorted(heights)
