"""A recorder beside a run: it misses nothing, holds nothing up, and ends nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.results.shown import Shown
from server.run.folder import RunFolder
from server.run.ledger import RoundRecord, append_round, cut_rounds, read_rounds_after
from server.tracking import recorder as module
from server.tracking.recorder import Opening, Outcome, Recorder, Recording
from shared.run.events import Event, Warned, listening

Grow = Callable[[Iterable[int]], list[RoundRecord]]
DONE = Outcome("complete", {})


@pytest.fixture
def events() -> Iterator[list[Event]]:
    heard: list[Event] = []
    with listening(heard.append):
        yield heard


def opening(
    add: Callable[[RoundRecord], None] = lambda record: None,
    finish: Callable[[Outcome], None] = lambda outcome: None,
) -> Opening:
    @contextmanager
    def opened() -> Iterator[Recorder]:
        yield Recorder(add, finish)

    return opened


def fail(*_: object) -> None:
    raise OSError("no space left at http://user:secret@hub:5000/x\nand more")


def test_each_round_is_recorded_once_and_in_order(
    run: RunFolder, grow: Grow, events: list[Event]
) -> None:
    recorded: list[object] = []
    grow([1, 2])
    recording = Recording(
        "R", opening(lambda r: recorded.append(r.round), recorded.append), run.ledger
    )
    for number in (3, 4, 5):
        grow([number])
        recording.wake()
    grow([6])  # the last one's wake-up may come together with the end
    recording.end(DONE)
    assert recorded == [1, 2, 3, 4, 5, 6, DONE]
    assert events == []


@contextmanager
def _fails_to_open() -> Iterator[Recorder]:
    fail()
    yield Recorder(fail, fail)


@pytest.mark.parametrize(
    "failing", [_fails_to_open, opening(add=fail), opening(finish=fail)],
    ids=["at the beginning", "in a round", "at the end"],
)  # fmt: skip
def test_a_failure_is_reported_once_and_ends_nothing(
    run: RunFolder, grow: Grow, events: list[Event], failing: Opening
) -> None:
    grow([1])
    recording = Recording("MLflow", failing, run.ledger)
    for _ in range(3):
        recording.wake()
    recording.end(DONE)
    assert events == [
        Warned("MLflow is off for the rest of this run: no space left at http://hub:5000/x")
    ]


def test_one_that_never_answers_holds_nothing_up(
    run: RunFolder, grow: Grow, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.2)
    go = threading.Event()

    def hang(_: object) -> None:
        go.wait(60)
        fail()

    grow([1])
    recording = Recording("MLflow", opening(add=hang), run.ledger)
    began = time.monotonic()
    for _ in range(1000):
        recording.wake()
    assert time.monotonic() - began < 5  # 200 if each of them waited
    began = time.monotonic()
    recording.end(DONE)
    assert time.monotonic() - began < 5
    warned = [Warned("MLflow does not answer: what it shows of the run ends early.")]
    assert events == warned
    go.set()
    recording._thread.join(60)
    assert events == warned


def test_an_error_of_many_words_is_cut(run: RunFolder, grow: Grow, events: list[Event]) -> None:
    def babble(_: object) -> None:
        raise ValueError("x" * 10**6)

    grow([1])
    Recording("R", opening(add=babble), run.ledger).end(DONE)
    (warned,) = events
    assert isinstance(warned, Warned)
    assert len(warned.text) < 400


def test_a_run_without_a_ledger(tmp_path: Path, events: list[Event]) -> None:
    Recording("R", opening(fail), tmp_path / "ledger.jsonl").end(Outcome("failed"))
    assert events == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(cuts=st.lists(st.integers(0, 20_000)))
def test_a_ledger_read_in_pieces_is_the_whole(
    run: RunFolder, grow: Grow, tmp_path: Path, cuts: list[int]
) -> None:
    """Wherever the writer was when somebody looked."""
    if not run.ledger.exists():
        grow(range(1, 6))
    content, seen = run.ledger.read_bytes(), list[RoundRecord]()
    partial, position = tmp_path / "partial.jsonl", 0
    for cut in [*sorted(cuts), len(content)]:
        partial.write_bytes(content[:cut])
        records, position = read_rounds_after(partial, position)
        seen += records
    assert [record.round for record in seen] == [1, 2, 3, 4, 5]
    assert position == len(content)


def test_a_round_that_is_undone_comes_again(
    run: RunFolder, grow: Grow, make_record: Callable[..., RoundRecord], events: list[Event]
) -> None:
    """The ledger is cut meanwhile; the same round then stands there with other values."""
    recorded: list[tuple[int, object]] = []
    heard = threading.Semaphore(0)

    def add(record: RoundRecord) -> None:
        recorded.append((record.round, record.auroc))
        heard.release()

    grow([1, 2, 3])
    recording = Recording("R", opening(add), run.ledger)
    for _ in range(3):
        assert heard.acquire(timeout=60)
    cut_rounds(run.ledger, 2, undone_for="east")
    again = make_record(3, auroc=0.9)
    append_round(run.ledger, Shown(again))
    recording.wake()
    assert heard.acquire(timeout=60)
    grow([4])
    recording.end(DONE)
    assert recorded == [(1, 0.51), (2, 0.52), (3, 0.53), (3, 0.9), (4, 0.54)]
    assert events == []
