"""Links between the pages: every file and every heading that one names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docker/README.md")
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in NAMED)])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def text_of(page: Path) -> str:
    """The page without blocks of code, in which nothing is a link or a heading."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(text: str) -> set[str]:
    """Where a link may lead within a page: GitHub's names of its headings, and its own."""
    headings = re.findall(r"^#+ +(.+?) *$", text, re.M)
    slugs = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings]
    return {*slugs, *re.findall(r'<a name="([^"]+)">', text)}


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere; those to other sites are not looked at."""
    found = []
    for link in LINK.findall(text_of(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(text_of(target))):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '# What `min-cell` does: a title\n<a name="own"></a>\n```\n[x](code.md)\n# no title\n```\n'
        "[a](#what-min-cell-does-a-title) [b](#own) [c](#no-title) [d](page.md#own)\n"
        "[e](none.md) ![f](none.png) [g](page.md#none) [h](https://example.org/none#none)\n",
        encoding="utf-8",
    )
    assert broken(page) == ["#no-title", "none.md", "none.png", "page.md#none"]
