"""The server's screen for a wall: whole at every size, and nothing of it is cut unseen."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from server.terminal.digits import HEIGHT, large
from server.terminal.wall import Moment, wall

NOW = datetime(2026, 11, 28, 13, 20, 6, tzinfo=UTC)
LONG = "a-name-of-a-run-that-is-longer-than-most-2026-11-20-0001"
WHY = "1 of at least 2 sites (min-sites) can take part: north."


def run(name: str, state: str, **more: Any) -> dict[str, Any]:
    return {"run": name, "state": state, "failure": None, "rounds": 30, "last": [],
            "ends_about": None} | more  # fmt: skip


def rounds(count: int) -> list[dict[str, Any]]:
    return [{"round": n, "loss": 0.5, "auroc": 0.5 + n / 100} for n in range(1, count + 1)]


def document(**more: Any) -> dict[str, Any]:
    there = {"connected": True, "since": None, "problem": None}
    return {
        "serving": True, "address": "hub.example.org:8443", "warning": None, "key_warnings": [],
        "sites": {"north": there, "east": there | {"connected": False},
                  "west": there | {"problem": "its GPU is not there."}},
        "runs": [
            run("done", "complete"), run(LONG, "failed", failure=WHY),
            run("now", "running", last=rounds(12),
                ends_about=(NOW + timedelta(minutes=40, seconds=5)).isoformat(),
                progress={"asked": ["north", "west"], "answered": ["north"]}),
            run("later", "waiting"),
        ],
    } | more  # fmt: skip


def drawn(width: int, height: int, moment: Moment) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True,
                      color_system=None, legacy_windows=False)  # fmt: skip
    console.print(wall(moment, console))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_everything_is_on_a_large_screen() -> None:
    lines = drawn(120, 40, Moment(document(), NOW))
    text = " ".join(" ".join(lines).split())
    for part in (
        "hub.example.org:8443", "SERVING", "2026-11-28 13:20:06 UTC", "now running",
        "ends about 2026-11-28 14:00 UTC", "Waiting for west", "west cannot take part: its GPU",
        f"{LONG} failed: {WHY}", "2 of 3 sites are connected", "● north connected",
        "○ east not connected", "In the queue: later", "done complete", "Ctrl-C",
    ):  # fmt: skip
        assert part in text, part
    for number in ("12/30", "0.62", "1/2", "0:41"):
        first, *_ = large(number).split("\n")
        assert any(first in line for line in lines), number


def test_a_failure_is_never_pushed_off_a_small_screen() -> None:
    text = " ".join(" ".join(drawn(60, 24, Moment(document(), NOW))).split())
    assert f"{LONG} failed: {WHY}" in text
    assert "rounds done 12/30" in text


def test_a_dead_server_and_a_folder_that_is_away_are_said() -> None:
    text = " ".join(drawn(100, 30, Moment(document(serving=False), NOW, "sites.json is damaged.")))
    assert "NO SERVER PROCESS" in text
    assert "Not seen since then: sites.json is damaged." in text


@given(
    st.integers(20, 200), st.integers(6, 80), st.lists(st.text("ab-", min_size=1), max_size=40),
    st.booleans(), st.floats(-1e6, 1e6),
)  # fmt: skip
def test_it_fits_every_window(
    width: int, height: int, names: list[str], serving: bool, left: float
) -> None:
    """Exactly: a line more would scroll, and what does not fit is counted."""
    sites = {name: {"connected": True, "since": None, "problem": None} for name in names}
    ends = (NOW + timedelta(seconds=left)).isoformat()
    runs = [run("r", "running", last=rounds(3), ends_about=ends)]
    lines = drawn(width, height, Moment(document(sites=sites, runs=runs, serving=serving), NOW))
    assert len(lines) == height
    assert all(len(line) <= width for line in lines)
    assert "…" not in "".join(lines)
    shown = "".join(lines)
    if not any("more lines" in line for line in lines) and width > 40:
        assert all(name in shown for name in names)


@given(st.text("0123456789.:/- ", min_size=1, max_size=8))
def test_large_digits_are_five_lines_of_one_width(text: str) -> None:
    lines = large(text).split("\n")
    assert len(lines) == HEIGHT
    assert len({len(line) for line in lines}) == 1
    assert large(text, ascii_only=True).isascii()


def test_no_two_digits_look_alike() -> None:
    assert len({re.sub(r"\s+$", "", large(digit)) for digit in "0123456789"}) == 10
