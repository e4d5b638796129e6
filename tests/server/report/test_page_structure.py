"""The page is whole HTML, complete in itself, and can be read without seeing its plots."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from server.report.page import run_page
from server.report.read import read_report
from server.report.study.data import StudyReport
from server.report.study.page import study_page

HOSTILE = "<script src=//evil.example>alert('x')</script>\"' onload=\"x\" &amp; $\\frac{ \U0001f480"
RUNS: dict[str, dict[str, Any]] = {
    "finished": {},
    "with test patients": {"test": True},
    "without scores": {"scores": False},
    "unfinished": {"finished": False, "scores": False, "rounds": 2},
    "begun": {"finished": False, "scores": False, "rounds": 0},
    "nothing hidden": {"min_cell": 1, "hidden": frozenset()},
    "hostile": {"test": True, "reason": HOSTILE, "name": HOSTILE, "prefix": HOSTILE},
}


STUDIES: dict[str, dict[str, Any]] = {
    "a study": {},
    "a study of one repeat": {"repeats": 1},
    "a hostile study": {"hostile": HOSTILE},
}


@pytest.fixture(scope="module", params=[*RUNS, *STUDIES])
def page(
    request: pytest.FixtureRequest,
    make_run_in: Callable[..., Path],
    make_study_report: Callable[..., StudyReport],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    if request.param in STUDIES:
        return study_page(make_study_report(**STUDIES[request.param]))
    arguments = dict(RUNS[request.param])
    min_cell = arguments.pop("min_cell", 5)
    return run_page(
        read_report(make_run_in(tmp_path_factory.mktemp("page"), **arguments), min_cell)
    )


def test_ids_are_unique_and_links_lead_to_them(page: str, read_page: Callable[[str], Any]) -> None:
    nodes = read_page(page).all()
    ids = Counter(node.attributes["id"] for node in nodes if "id" in node.attributes)
    assert set(ids.values()) == {1}
    wanted = {
        node.attributes["href"].removeprefix("#") for node in nodes if "href" in node.attributes
    }
    wanted |= set(re.findall(r"url\(#([^)]+)\)", page))
    for node in nodes:
        wanted |= set(node.attributes.get("aria-labelledby", "").split())
    assert wanted <= set(ids)


def test_nothing_is_fetched_or_run(page: str, read_page: Callable[[str], Any]) -> None:
    nodes = read_page(page).all()
    assert {node.tag for node in nodes} <= {
        "html", "head", "meta", "title", "style", "body", "div", "header", "nav", "main", "footer",
        "section", "h1", "h2", "h3", "p", "a", "dl", "dt", "dd", "code", "span", "figure",
        "figcaption", "details", "summary", "table", "caption", "thead", "tbody", "tr", "th", "td",
        "svg", "desc", "g", "defs", "path", "use", "text", "tspan", "clippath", "rect", "pattern",
    }  # fmt: skip
    for node in nodes:
        assert not {"src", "srcset", "data", "action", "background"} & set(node.attributes)
        assert not [name for name in node.attributes if name.startswith("on")]
        assert node.attributes.get("href", "#").startswith("#")
    style = next(node for node in nodes if node.tag == "style").text
    assert "@import" not in style
    assert "url(" not in style
    assert set(re.findall(r"url\((.)", page)) <= {"#"}
    assert "https://" not in page
    assert "http://" not in page


def test_every_plot_has_a_text_alternative_and_a_table(
    page: str, read_page: Callable[[str], Any]
) -> None:
    root = read_page(page)
    named = {node.attributes.get("id"): node.text for node in root.all()}
    assert root.all("img") == []
    assert len(root.all("figure")) == len(root.all("svg"))
    for svg in root.all("svg"):
        assert svg.attributes["role"] == "img"
        assert all(len(named[part]) > 3 for part in svg.attributes["aria-labelledby"].split())
    drawn = [node for node in root.all("div") if node.attributes.get("class") == "drawn"]
    assert len(drawn) == len(root.all("figure"))
    for one in drawn:
        assert [len(one.all(tag)) for tag in ("svg", "figcaption", "details")] == [1, 1, 1]
        assert one.all("details")[0].all("table")


def test_tables_have_captions_and_headers(page: str, read_page: Callable[[str], Any]) -> None:
    tables = read_page(page).all("table")
    assert tables
    for table in tables:
        assert len(table.all("caption")) == 1
        head, body = table.all("thead")[0], table.all("tbody")[0]
        assert {cell.attributes["scope"] for cell in head.all("th")} == {"col"}
        widths = {len(row.all("th", "td")) for row in table.all("tr")}
        assert len(widths) == 1
        for row in body.all("tr"):
            assert [cell.attributes["scope"] for cell in row.all("th")] == ["row"]


def test_headings_descend_one_by_one(page: str, read_page: Callable[[str], Any]) -> None:
    levels = [int(node.tag[1]) for node in read_page(page).all("h1", "h2", "h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_all_colours_are_the_style_sheets(page: str) -> None:
    body = page[page.index("<body") :]
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", re.sub(r"[0-9a-f]{64}", "", body))
    assert "font-family" not in body
    used = set(re.findall(r"var\(--([a-z]+)\)", page))
    assert used <= set(re.findall(r"--([a-z]+):", page))


def test_what_files_say_is_text(
    make_run: Callable[..., Path], read_page: Callable[[str], Any]
) -> None:
    run = make_run(reason=HOSTILE, name=HOSTILE, prefix=HOSTILE, finding=HOSTILE[:80])
    page = run_page(read_report(run, 5))
    root = read_page(page)
    assert "<script" not in page
    assert root.all("h1")[0].text == f"{HOSTILE[:80]}, run run"
    assert root.all("title")[0].text == f"{HOSTILE[:80]}, run run - FedThaw"
    assert HOSTILE in root.all("p")[0].text
    cells = {cell.text for cell in root.all("th", "td")}
    assert {HOSTILE, f"{HOSTILE}east"} <= cells


def test_the_same_run_gives_the_same_page(make_run: Callable[..., Path]) -> None:
    run = make_run()
    assert run_page(read_report(run, 5)) == run_page(read_report(run, 5))


def test_no_folder_of_the_coordinator_is_told(make_run: Callable[..., Path]) -> None:
    run = make_run(
        weights="/srv/secret/weights.pt", teacher="/srv/secret/large", sites="/srv/secret/north",
        out="/srv/secret/x",
    )  # fmt: skip
    page = run_page(read_report(run, 5))
    assert "secret" not in page
    assert "weights.pt" in page
    assert ">large<" in page
    assert str(run) not in page
