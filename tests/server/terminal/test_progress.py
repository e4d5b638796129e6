"""Plain lines when piped, bars on a terminal, silence where somebody listens already."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from server.terminal.progress import describe, reporting
from shared.run.events import (
    Event,
    ReplyReceived,
    RoundFinished,
    RoundRetried,
    RoundStarted,
    RunStarted,
    SiteBusy,
    SiteJoined,
    SiteLost,
    SiteNote,
    StepDone,
    Warned,
    emit,
    has_listeners,
    listening,
)
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round

LINES: list[tuple[Event, str | None]] = [
    (SiteBusy("north", "reading images", 0), None),
    (StepDone("north"), None),
    (SiteNote("north", "2 images set aside"), "north: 2 images set aside"),
    (
        RunStarted("r1", ("east", "north"), 30, 0, "/runs/[a]/r1"),
        "Run r1 begins: 30 rounds with east, north. Folder: /runs/[a]/r1",
    ),
    (RoundStarted(plan_round(RunConfig(schedule="progressive"), 13), 30, ("east", "north")), None),
    (
        RoundStarted(
            plan_round(RunConfig(schedule="progressive"), 13), 30, ("east",), ("north", "south")
        ),
        "Round 13 begins without north, south: not connected",
    ),
    (
        SiteLost("north", False),
        "The connection to north is lost; the round waits for it for a while",
    ),
    (SiteLost("north", True), "north is connected again"),
    (
        SiteJoined("north"),
        "north takes part",
    ),
    (SiteBusy("north", "training", 4), None),
    (StepDone("north"), None),
    (ReplyReceived("north", None), None),
    (ReplyReceived("east", "its loss is NaN"), "east excluded: its loss is NaN"),
    (RoundRetried(13, 1, 2, 1), "Round 13: 1 of 2 usable replies in attempt 1"),
    (
        RoundFinished(13, 30, 0.51234, 0.75, 12_340_000, 61.25),
        "Round 13/30: loss 0.5123, AUROC of the incoming model 0.75, 12.34 MB, 61.2 s",
    ),
    (
        RoundFinished(14, 30, 0.5, None, 0, 1),
        "Round 14/30: loss 0.5, AUROC of the incoming model undefined or not shown, 0.00 MB, 1.0 s",
    ),
    (Warned("Waiting for sites: 1 of 2 are there."), "Waiting for sites: 1 of 2 are there."),
]


@pytest.mark.parametrize(("event", "line"), LINES, ids=lambda value: type(value).__name__)
def test_the_line_of_an_event(event: Event, line: str | None) -> None:
    assert describe(event) == line


def test_a_continued_run_says_so() -> None:
    line = describe(RunStarted("r1", ("east",), 30, 7, "runs/r1"))
    assert line == "Run r1 continues after round 7: 30 rounds with east. Folder: runs/r1"


def test_very_many_sites_are_counted_rather_than_named() -> None:
    line = describe(RunStarted("r1", tuple(f"s{i}" for i in range(1000)), 30, 0, "runs/r1"))
    assert line == "Run r1 begins: 30 rounds with 1000 sites. Folder: runs/r1"


def test_plain_lines_when_piped() -> None:
    output = io.StringIO()
    with reporting(Console(file=output, force_terminal=False, width=40)):
        for event, _ in LINES:
            emit(event)
    assert output.getvalue().splitlines() == [line for _, line in LINES if line is not None]


def written_on_a_terminal(events: list[Event]) -> str:
    output = io.StringIO()
    with reporting(Console(file=output, force_terminal=True, width=200, legacy_windows=False)):
        for event in events:
            emit(event)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output.getvalue())


def test_bars_on_a_terminal_and_the_lines_above_them() -> None:
    written = written_on_a_terminal([event for event, _ in LINES])
    for _, line in LINES:
        assert line is None or line in written
    assert "14/30" in written


def test_a_task_of_unknown_length() -> None:
    written = written_on_a_terminal(
        [
            SiteBusy("north", "training", 4),
            SiteBusy("north", "reading images", 0),
            *[StepDone("north")] * 3,
        ]
    )
    assert re.search(r"north: reading images +.* 3/\?", written)
    assert "3/4" not in written


def test_the_bars_of_a_round() -> None:
    events: list[Event] = [
        RunStarted("r1", ("east", "north"), 30, 12, "runs/r1"),
        RoundStarted(plan_round(RunConfig(schedule="progressive"), 13), 30, ("east", "north")),
        SiteBusy("east", "training", 9),
        StepDone("east"),
        StepDone("east"),
        ReplyReceived("east", None),
    ]
    written = written_on_a_terminal(events)
    assert re.search(r"Rounds +.* 12/30", written)
    assert re.search(r"Sites \(head, layer4\) +.* 1/2", written)
    assert re.search(r"east: training +.* 2/9", written)


def test_replies_after_the_rounds_do_not_overrun_the_bar_of_a_round() -> None:
    events: list[Event] = [
        RoundStarted(plan_round(RunConfig(schedule="progressive"), 30), 30, ("east",)),
        ReplyReceived("east", None),
        RoundFinished(30, 30, 0.5, 0.7, 10, 1.0),
        ReplyReceived("east", None),
    ]
    assert "2/1" not in written_on_a_terminal(events)


def test_a_round_that_is_told_late_leaves_the_bars_of_the_next() -> None:
    """The next round does not wait for the disk."""
    events: list[Event] = [
        RoundStarted(plan_round(RunConfig(schedule="progressive"), 13), 30, ("east", "north")),
        ReplyReceived("east", None),
        ReplyReceived("north", None),
        RoundStarted(plan_round(RunConfig(schedule="progressive"), 14), 30, ("east", "north")),
        RoundFinished(13, 30, 0.5, 0.7, 10, 1.0),
        ReplyReceived("east", None),
    ]
    written = written_on_a_terminal(events)
    assert re.search(r"Rounds +.* 13/30", written)
    assert re.search(r"Sites \(head, layer4\) +.* 1/2 [^S]*$", written)


def test_events_before_any_bar_do_no_harm() -> None:
    assert written_on_a_terminal([StepDone("north"), ReplyReceived("north", None)]).strip() == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_who_listens_already_is_not_talked_over(terminal: bool) -> None:
    output = io.StringIO()
    heard: list[Event] = []
    with listening(heard.append), reporting(Console(file=output, force_terminal=terminal)):
        emit(Warned("once"))
    assert heard == [Warned("once")]
    assert output.getvalue() == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_the_listener_leaves_however_the_run_ends(terminal: bool) -> None:
    with (
        pytest.raises(RuntimeError, match="no"),
        reporting(Console(file=io.StringIO(), force_terminal=terminal)),
    ):
        raise RuntimeError("no")
    assert not has_listeners()


def test_standard_error_without_a_console(capsys: pytest.CaptureFixture[str]) -> None:
    with reporting():
        emit(Warned("to the person, not to the pipe"))
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "to the person, not to the pipe\n")
