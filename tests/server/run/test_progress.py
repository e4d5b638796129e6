"""Where a run stands: folded from its events, and read whatever is in the file."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from server.run.folder import LOCK, ended_before_it_began
from server.run.progress import FILE, Progress, advance, progress_in, read_progress
from shared.run.events import (
    Event,
    ReplyReceived,
    RoundFinished,
    RoundRetried,
    RoundStarted,
    RunStarted,
    SiteLost,
    StepDone,
    Warned,
    emit,
    has_listeners,
)
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round

ALL = ("east", "north", "south")
BEGUN = RunStarted("r1", ALL, 30, 0, "runs/r1")


def started(
    number: int, sites: tuple[str, ...] = ALL, absent: tuple[str, ...] = ()
) -> RoundStarted:
    return RoundStarted(plan_round(RunConfig(schedule="progressive"), number), 30, sites, absent)


def finished(number: int, left: float, size: int = 100) -> RoundFinished:
    return RoundFinished(number, 30, 0.5, 0.75, size, 10.0, left)


def after(*events: Event, before: Progress | None = None) -> Progress:
    state = before or Progress(pid=7)
    for event in events:
        state = advance(state, event)
    return state


def test_before_the_first_round() -> None:
    state = after(Warned("Waiting for sites."), BEGUN)
    assert state == Progress(pid=7, rounds=30, asked=ALL, note="Waiting for sites.")


def test_a_continued_run() -> None:
    assert after(replace(BEGUN, done=12)).round == 12


def test_within_a_round() -> None:
    state = after(
        BEGUN, Warned("old"), started(13, ("east", "north"), ("south",)), StepDone("east")
    )
    assert (state.rounds, state.round, state.stages) == (30, 13, ("layer4", "head"))
    assert (state.asked, state.answered, state.absent) == (("east", "north"), (), ("south",))
    assert state.note == ""
    state = after(ReplyReceived("north", None), before=state)
    assert (state.answered, state.note) == (("north",), "")
    state = after(ReplyReceived("east", "its loss is NaN"), before=state)
    assert (state.answered, state.note) == (("north", "east"), "east excluded: its loss is NaN")


def test_sites_that_are_lost_and_come_back() -> None:
    state = after(started(1), SiteLost("south", False), SiteLost("east", False))
    assert state.lost == ("south", "east")
    assert after(SiteLost("east", False), before=state).lost == ("south", "east")
    assert after(SiteLost("south", True), before=state).lost == ("east",)
    # Who is given up, or had answered before it was lost, is waited for no longer.
    assert after(ReplyReceived("south", "lost"), before=state).lost == ("east",)
    assert after(started(2), before=state).lost == ()


def test_a_round_that_is_asked_again_begins_anew() -> None:
    state = after(
        started(1), ReplyReceived("east", None), RoundRetried(1, 1, 2, 1), started(1, ("east",))
    )
    assert (state.asked, state.answered) == (("east",), ())


def test_finished_rounds() -> None:
    """The time left is what the run estimated last."""
    state = after(started(1), finished(1, 290.0))
    assert (state.loss, state.auroc, state.bytes, state.seconds_left) == (0.5, 0.75, 100, 290.0)
    state = after(*(finished(n, left) for n, left in enumerate([100.0, 90.0, 70.0, 52.0], start=1)))
    assert (state.bytes, state.seconds_left) == (400, 52.0)


def test_the_final_evaluation_does_not_count_a_site_twice() -> None:
    replies = [ReplyReceived(name, None) for name in ALL]
    state = after(started(30), *replies, finished(30, 1.0), *replies, ReplyReceived("east", "x"))
    assert sorted(state.answered) == sorted(ALL)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    assert read_progress(tmp_path) is None
    with progress_in(str(tmp_path)):
        for event in (BEGUN, started(1, ("east",), ("south",)), SiteLost("east", False)):
            emit(event)
        expected = replace(
            after(BEGUN, started(1, ("east",), ("south",)), SiteLost("east", False)),
            pid=os.getpid(),
        )
        assert read_progress(tmp_path) == expected
        emit(StepDone("east"))
    assert not has_listeners()
    assert read_progress(tmp_path) == expected
    assert os.listdir(tmp_path) == [FILE]


def test_without_a_folder_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with progress_in(""):
        emit(BEGUN)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    with progress_in(str(tmp_path / "run")):
        emit(BEGUN)
        (tmp_path / "run").mkdir()
        emit(started(1))
    written = read_progress(tmp_path / "run")
    assert written is not None
    assert (written.rounds, written.round) == (30, 1)


def test_a_full_disk_loses_it_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    with progress_in(str(tmp_path)):
        emit(BEGUN)
        with monkeypatch.context() as full:
            full.setattr(os, "replace", refuse)
            emit(started(1))
            full.setattr(Path, "write_text", refuse)
            full.setattr(Path, "unlink", refuse)
            emit(started(2))
    written = read_progress(tmp_path)
    assert written is not None
    assert written.round == 0
    assert os.listdir(tmp_path) == [FILE]


def test_what_a_killed_process_leaves_does_not_occupy_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", lambda *_: None)
    (tmp_path / LOCK).touch()
    with progress_in(str(tmp_path)):
        emit(BEGUN)
    assert len(os.listdir(tmp_path)) == 2
    assert ended_before_it_began(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"17", b"null", b"{}", b'"text"', b"\xff\xfe", b"\0" * 40, b"[" * 10**5,
     b'{"pid": 1, "later": 2}'],
)  # fmt: skip
def test_anything_else_in_the_file_is_as_if_not_there(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert read_progress(tmp_path) is None


@pytest.mark.parametrize("kept", range(0, 250, 37))
def test_a_torn_file_is_as_if_not_there(tmp_path: Path, kept: int) -> None:
    whole = json.dumps(asdict(after(BEGUN, started(1), Warned("note " * 10))))
    assert len(whole) > 250
    (tmp_path / FILE).write_text(whole[:kept], encoding="utf-8")
    assert read_progress(tmp_path) is None


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    assert read_progress(tmp_path) is None
