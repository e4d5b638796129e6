"""`fedthaw server status`: the last rounds of runs, once and again and again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from server.cli import status as module
from server.link.jobs.orders import Order, write_order
from server.results.shown import Shown
from server.run.ledger import RoundRecord, append_round
from server.terminal.wall import sparkline
from shared.settings.config import RunConfig

Here = Callable[..., tuple[int, str, str]]
Grow = Callable[[int, float | None], None]


@pytest.fixture
def grow(
    tmp_path: Path, here: Here, make_record: Callable[..., RoundRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> Grow:  # fmt: skip
    """A coordinator with one run; appends a round to it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEDTHAW_COORDINATOR", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    assert here("server", "init", "--name", "hub")[0] == 0
    run = tmp_path / "coordinator" / "runs" / "first"
    write_order(Order(run, "2026-01-01", "abc", RunConfig()))

    def grow(number: int, auroc: float | None) -> None:
        record = replace(make_record(number, auroc), absent=("west",))
        append_round(run / "ledger.jsonl", Shown(record))

    return grow


def test_json_has_the_last_rounds(here: Here, grow: Grow) -> None:
    (run,) = json.loads(here("server", "status", "--json")[1])["runs"]
    assert run["last"] == []
    grow(1, 0.5)
    grow(2, None)
    (run,) = json.loads(here("server", "status", "--json")[1])["runs"]
    assert run["last"] == [
        {"round": 1, "loss": 0.5, "auroc": 0.5, "bytes": 110, "seconds": 3.0, "sites": 2,
         "refused": ["south"], "absent": ["west"]},
        {"round": 2, "loss": 0.5, "auroc": None, "bytes": 220, "seconds": 3.0, "sites": 2,
         "refused": ["south"], "absent": ["west"]},
    ]  # fmt: skip


def test_people_see_the_last_five_and_how_it_went(here: Here, grow: Grow) -> None:
    assert "The last rounds" not in here("server", "status")[1]
    for number in range(1, 9):
        grow(number, number / 10)
    code, out, _ = here("server", "status")
    assert code == 0
    table = out.partition("The last rounds of first:")[2]
    rows = [line.split() for line in table.splitlines() if line and line[0].isdigit()]
    assert [row[0] for row in rows] == ["4", "5", "6", "7", "8"]
    assert rows[-1] == ["8", "0.5", "0.8", "0.00", "3.0", "2", "south", "west"]
    assert "AUROC  ▁▂▃▄▅▆▇█" in out


def test_piped_it_says_each_new_thing_in_a_line(
    here: Here, grow: Grow, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: Iterator[Callable[[], None]] = iter(
        [lambda: None, lambda: grow(1, 0.5), lambda: None, lambda: grow(2, None)]
    )

    def sleep(_: float) -> None:
        step = next(steps, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr("time.sleep", sleep)
    code, out, err = here("server", "status", "--watch")
    assert (code, err) == (0, "")
    assert [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", "", line) for line in out.splitlines()] == [
        "No server process is running here.",
        "first: waiting, no round of 30 is finished",
        "first: waiting, 1 of 30 rounds, loss 0.5, AUROC 0.5, 0.00 MB, 3.0 s, 2 sites, "
        "refused: south, absent: west",
        "first: waiting, 2 of 30 rounds, loss 0.5, AUROC undefined or not shown, 0.00 MB, 3.0 s, "
        "2 sites, refused: south, absent: west",
    ]


def test_it_goes_on_while_the_folder_cannot_be_read(
    here: Here, grow: Grow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while a network drive is away; piped and on a screen."""
    sites = tmp_path / "coordinator" / "sites.json"
    clock = iter(range(10_000))
    steps: list[Callable[[], object]] = []

    def sleep(_: float) -> None:
        if not steps:
            raise KeyboardInterrupt
        steps.pop(0)()

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    steps[:] = [lambda: sites.write_text("damaged"), lambda: sites.write_text("[]")]
    code, out, _ = here("server", "status", "--watch")
    assert code == 0
    assert [line[20:40] for line in out.splitlines()] == [
        "No server process is", "first: waiting, no r", "The coordinator's fo",
        "No server process is",
    ]  # fmt: skip
    monkeypatch.setattr(module, "Console", lambda: Console(force_terminal=True, width=120))
    steps[:] = [lambda: sites.write_text("damaged"), lambda: None, lambda: sites.write_text("[]"),
                lambda: None, lambda: None]  # fmt: skip
    code, out, err = here("server", "status", "--watch")
    assert (code, err) == (0, "")
    assert "Not seen since then" in out
    assert out.rindex("NO SERVER PROCESS") > out.rindex("Not seen since then")


def test_on_a_terminal_it_is_drawn_again(
    grow: Grow, here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = 0

    def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        grow(looks, 0.5)
        if looks == 3:
            raise KeyboardInterrupt

    clock = iter(range(10_000))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr(module, "Console", lambda: Console(force_terminal=True, width=120))
    code, out, err = here("server", "status", "--watch")
    assert (code, err) == (0, "")
    assert out.count("NO SERVER PROCESS") >= 3
    # On a screen of its own, which is left at the end as it was found.
    assert out.startswith("\x1b[?1049h")
    assert "\x1b[?1049l" in out
    # Drawn over, never cleared: nothing flickers.
    assert out.count("\x1b[2J") <= 1


def test_watching_is_for_people(here: Here, grow: Grow) -> None:
    code, out, err = here("server", "status", "--watch", "--json")
    assert (code, out) == (2, "")
    assert "leave it or --json out" in err


def test_a_terminal_without_these_letters(
    here: Here, grow: Grow, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(1, 0.5)
    grow(2, 0.6)
    monkeypatch.setattr("rich.console.ConsoleOptions.ascii_only", True)
    assert here("server", "status")[1].isascii()


@given(st.lists(st.none() | st.floats(0, 1), max_size=50))
def test_a_sparkline_rises_where_the_values_do(values: list[float | None]) -> None:
    bars = sparkline(values)
    known = [value for value in values if value is not None]
    assert len(bars) == (len(values) if known else 0)
    for value, bar in zip(values, bars, strict=bool(known)):
        assert (bar == " ") == (value is None)
    shown = sorted(
        (value, bar) for value, bar in zip(values, bars, strict=False) if value is not None
    )
    assert [bar for _, bar in shown] == sorted(bar for _, bar in shown)
    if known and max(known) > min(known):
        assert (shown[0][1], shown[-1][1]) == ("▁", "█")
