"""No block of commands on a page is left that nobody executes and no reason excuses."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

Blocks = Callable[[str], list[Any]]

OUTPUTS = {"text", "toml", "json"}
EXECUTED = {
    "docs/getting-started.md": "newcomer/test_getting_started.py",
    "docs/coordinator.md": "newcomer/test_federation.py",
    "docs/hospital.md": "newcomer/test_federation.py",
    "docs/data.md": "newcomer/test_research.py",
    "docs/simulation.md": "newcomer/test_research.py",
    "docs/prediction.md": "newcomer/test_research.py",
    "docs/studies.md": "newcomer/test_research.py",
    "docs/python.md": "docs/test_python_page.py",
}
"""Page -> the test that executes every block of commands that has no note."""


def test_every_block_says_what_it_is(pages: list[str], blocks: Blocks) -> None:
    languages = {block.language for page in pages for block in blocks(page)}
    assert languages <= OUTPUTS | {"sh", "python"}, "a block without a language, or of a new one"


def test_every_file_that_a_page_shows_is_valid_toml(pages: list[str], blocks: Blocks) -> None:
    texts = [block.text for page in pages for block in blocks(page) if block.language == "toml"]
    assert len(texts) > 4
    assert all(map(tomllib.loads, texts))


def test_every_block_of_commands_is_executed_or_says_why_not(
    pages: list[str], blocks: Blocks
) -> None:
    left = [
        str(block)
        for page in pages
        for block in blocks(page)
        if block.is_command and block.runs and page not in EXECUTED
    ]
    assert left == []
    notes = [b.note for page in pages for b in blocks(page) if b.note.startswith("not run: ")]
    assert notes
    assert all(len(note.split()) > 4 for note in notes)


def test_the_named_tests_execute_their_pages() -> None:
    tests = Path(__file__).parents[1]
    for page, test in EXECUTED.items():
        assert Path(page).name in (tests / test).read_text(encoding="utf-8")


def test_repeated_commands_are_those_of_the_page_that_is_executed(
    pages: list[str], blocks: Blocks
) -> None:
    tried = 0
    for page in pages:
        for block in blocks(page):
            if not block.note.startswith("as in "):
                continue
            there = {
                command
                for other in re.findall(r"docs/[\w-]+\.md", block.note)
                for source in blocks(other)
                if source.runs
                for command in source.commands
            }
            assert set(block.commands) <= there, str(block)
            tried += 1
    assert tried >= 3


def test_steps_are_on_blocks_and_in_order(blocks: Blocks) -> None:
    for page in ("docs/coordinator.md", "docs/hospital.md"):
        steps = [int(re.match(r"step (\d+)", b.note)[1]) for b in blocks(page) if b.runs]  # type: ignore[index]
        assert steps == sorted(steps)
        assert steps
