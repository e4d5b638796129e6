"""A proposal on the terminal: nothing of it is cut, hidden, or taken for a command."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from client.cli.proposal_table import print_proposal
from client.proposal.propose import Choices, propose

WritePng = Callable[[Path, int], Path]


@pytest.fixture
def printed(tmp_path: Path, write_png: WritePng) -> Callable[..., str]:
    """What is printed of the proposal for a table with these outcomes, an image a row."""

    def run(outcomes: list[str], more: int = 0, **choices: tuple[str, ...]) -> str:
        site = tmp_path / "north"
        others = [f"other{n}" for n in range(more)]
        lines = [",".join(["patient", "image", "outcome", *others])]
        for number, outcome in enumerate(outcomes):
            write_png(site / "images" / f"i{number:03d}.png", number)
            cells = [f"P{number}", f"i{number:03d}.png", outcome, *(f"x{number}" for _ in others)]
            lines.append(",".join(cells))
        (site / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        proposal = propose(site, site / "labels.csv", Choices(**choices))  # type: ignore[arg-type]
        text = io.StringIO()
        print_proposal(proposal, Console(file=text, width=100))
        return text.getvalue()

    return run


def test_values_and_what_they_count_as(printed: Callable[..., str]) -> None:
    lines = printed(["yes"] * 3 + ["no"] * 4 + [""]).splitlines()
    of_values = [[cell.strip() for cell in line.split("│")[1:4]] for line in lines if "│" in line]
    assert ["no", "4", "negative"] in of_values
    assert ["yes", "3", "positive"] in of_values
    assert ["(empty)", "1", "neither: excluded"] in of_values
    assert "8 rows, 8 image files." in lines
    assert "positive  3 patients, 3 images" in lines


def test_many_values_and_columns_are_counted(printed: Callable[..., str]) -> None:
    text = printed([f"v{n // 2:02d}" for n in range(36)], more=17, positive=("v00",))
    assert "6 more values" in text  # twelve of eighteen are named
    assert "5 more " in text  # of seventeen negative ones
    assert "and 2 more." in text  # of seventeen columns


def test_a_value_is_text(printed: Callable[..., str]) -> None:
    text = printed(["yes"] * 3 + ["no"] * 3 + ["[bold]odd[/bold]"] * 2 + ["\x1b[31mred"])
    assert "[bold]odd[/bold]" in text
    assert "\x1b" not in text
