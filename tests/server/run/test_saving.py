"""Rounds written in the background: nothing is lost, nothing is hidden, no thread stays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.results.shown import Shown
from server.run import saving
from server.run.checkpoint import Checkpoint, checkpoint_rounds
from server.run.folder import RunFolder, prepare_folder
from server.run.ledger import RoundRecord, read_rounds
from server.run.saving import RoundWriter, kept_rounds, save_round
from shared.errors import RunError
from shared.run.events import Event, Warned, listening
from shared.settings.config import RunConfig

MakeRecord = Callable[..., RoundRecord]


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return prepare_folder(RunConfig(out=str(tmp_path / "run")))


def state(number: int) -> Checkpoint:
    return Checkpoint(number, {"fc.bias": np.ones(1, np.float32)}, {})


def fail() -> None:
    raise RunError("the disk is full")


def test_a_round_counts_once_its_checkpoint_and_its_line_are_there(
    folder: RunFolder, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        save_round(folder, state(number), make_record(number), Shown(make_record(number)), {1, 2})
    seen: list[tuple[list[int], int]] = []

    def look() -> None:
        seen.append((checkpoint_rounds(folder.path), len(read_rounds(folder.ledger))))

    def watch(step: Callable[..., None]) -> Callable[..., None]:
        def watched(*words: object) -> None:
            look()
            step(*words)

        return watched

    for name in ("append_round", "prune_checkpoints"):
        monkeypatch.setattr(saving, name, watch(getattr(saving, name)))
    save_round(folder, state(3), make_record(3), Shown(make_record(3)), {2, 3})
    look()
    assert seen == [([1, 2, 3], 2), ([1, 2, 3], 3), ([2, 3], 3)]


def test_a_job_does_not_hold_up_its_caller_but_the_next_one_waits() -> None:
    order: list[str] = []
    go = threading.Event()

    def first() -> None:
        assert go.wait(60)
        order.append("first")

    with RoundWriter() as writer:
        writer.start(first)
        order.append("caller")
        writer.check()
        threading.Timer(0.05, go.set).start()
        writer.start(lambda: order.append("second"))
        writer.finish()
        assert order == ["caller", "first", "second"]


@pytest.mark.parametrize("step", ["start", "finish", "check", "end of the block"])
def test_what_a_job_raises_is_raised_once_by_what_comes_next(step: str) -> None:
    calls: list[str] = []
    with pytest.raises(RunError, match="the disk is full"), RoundWriter() as writer:  # noqa: PT012
        writer.start(fail)
        match step:
            case "start":
                writer.start(lambda: calls.append("never"))
            case "finish":
                writer.finish()
            case "check":
                while True:
                    writer.check()
    assert not calls
    writer.finish()


def test_an_interrupted_block_lets_its_job_end() -> None:
    interrupted, done = threading.Event(), threading.Event()
    events: list[Event] = []

    def job() -> None:
        assert interrupted.wait(60)
        done.set()

    with listening(events.append), pytest.raises(KeyboardInterrupt), RoundWriter() as writer:  # noqa: PT012
        writer.start(job)
        threading.Timer(0.05, interrupted.set).start()
        raise KeyboardInterrupt
    assert done.is_set()
    assert not events


def test_an_error_of_the_block_goes_before_that_of_the_job_which_is_told() -> None:
    events: list[Event] = []
    with listening(events.append), pytest.raises(KeyboardInterrupt), RoundWriter() as writer:  # noqa: PT012
        writer.start(fail)
        raise KeyboardInterrupt
    assert events == [Warned("the disk is full")]


def test_a_disk_that_does_not_answer_does_not_hold_up_an_interruption(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(saving, "PATIENCE_SECONDS", 0.05)
    events: list[Event] = []
    answer, ended = threading.Event(), threading.Event()

    def job() -> None:
        answer.wait(60)
        ended.set()

    with listening(events.append), pytest.raises(KeyboardInterrupt), RoundWriter() as writer:  # noqa: PT012
        writer.start(job)
        raise KeyboardInterrupt
    assert events == [Warned("The disk does not answer: the last round is not saved.")]
    assert not ended.is_set()
    answer.set()
    writer.finish()


@pytest.mark.parametrize(
    ("aurocs", "kept"),
    [
        ([None], {0, 1}),
        ([0.9], {0, 1}),  # the model before the first round has no checkpoint
        ([0.9, 0.6], {1, 2}),
        ([0.5, 0.8, 0.7, 0.6, 0.6], {4, 5, 1}),
        ([0.5, 0.6, 0.8, 0.7, 0.6], {4, 5, 2}),
        ([0.5, 0.8, 0.8, 0.6, 0.6], {4, 5, 2}),  # the later of equals
        ([None] * 5, {4, 5}),
        ([0.5, 0.0, None, None, None], {4, 5, 1}),
    ],
)
def test_the_last_two_and_the_best_are_kept(
    aurocs: list[float | None], kept: set[int], make_record: MakeRecord
) -> None:
    records = [make_record(number, auroc) for number, auroc in enumerate(aurocs, start=1)]
    assert kept_rounds(records) == kept


@given(st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=12))
def test_what_is_kept_was_never_removed_before(
    make_record: MakeRecord, aurocs: list[float | None]
) -> None:
    on_disk: set[int] = set()
    records: list[RoundRecord] = []
    for number, auroc in enumerate(aurocs, start=1):
        records.append(make_record(number, auroc))
        on_disk.add(number)
        kept = kept_rounds(records)
        assert kept - {0} <= on_disk
        on_disk &= kept
        assert len(on_disk) <= 3
