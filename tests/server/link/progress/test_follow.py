"""What the command that submitted a run tells of it, and how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from server.link.folder.home import Home, only_one
from server.link.jobs.orders import Order, write_order
from server.link.progress import follow as module
from server.link.progress.follow import end_of_log, follow
from server.link.progress.status import write_status
from server.run.failure import write_failure
from server.run.process import STOP
from shared.errors import ConfigError, RunError, UserError
from shared.settings.config import RunConfig


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def order(
    home: Home, micro_config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> Order:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    made = Order(home.runs / "first", "2026", "0" * 64, micro_config())
    write_order(made)
    return made


def say(order: Order, *lines: str) -> None:
    with (order.folder / "run.log").open("a", encoding="utf-8") as log:
        log.writelines(f"{line}\n" for line in lines)


def test_a_complete_run_is_told_to_its_last_line(
    home: Home, order: Order, capsys: pytest.CaptureFixture[str]
) -> None:
    say(order, "of an earlier attempt")
    start = end_of_log(order)
    say(order, "[red]begins[/red]", "ends " + "x" * 300)
    (order.folder / "summary.json").write_text("{}")
    follow(home, order, start)
    assert capsys.readouterr().err.splitlines() == ["[red]begins[/red]", "ends " + "x" * 300]


def test_it_ends_when_the_process_has_written_everything(
    home: Home, order: Order, capsys: pytest.CaptureFixture[str]
) -> None:
    """The summary is there before the report is: the run's process still works on it."""
    (order.folder / "summary.json").write_text("{}")

    def end() -> None:
        say(order, "report written")
        write_status(home, {"run": None})

    with only_one(home):
        write_status(home, {"run": "first"})
        threading.Timer(0.3, end).start()
        follow(home, order, end_of_log(order))
    assert capsys.readouterr().err == "report written\n"


def test_the_last_line_is_not_lost(
    home: Home, order: Order, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said after the last look at the log, and before the process is seen to have ended."""
    (order.folder / "summary.json").write_text("{}")

    def at_work(home: Home, order: Order) -> bool:
        say(order, "its report could not be written")
        return False

    monkeypatch.setattr(module, "is_at_work", at_work)
    follow(home, order, end_of_log(order))
    assert capsys.readouterr().err == "its report could not be written\n"


def test_lines_are_told_while_the_run_goes_on(
    home: Home, order: Order, capsys: pytest.CaptureFixture[str]
) -> None:
    threading.Timer(0.1, say, (order, "later")).start()
    threading.Timer(0.2, (order.folder / "summary.json").write_text, ("{}",)).start()
    follow(home, order, end_of_log(order))
    assert capsys.readouterr().err == "later\n"


@pytest.mark.parametrize(
    ("error", "kind"), [(ConfigError("rounds is wrong"), UserError), (RunError("gone"), RunError)]
)
def test_what_ended_the_run_is_raised(
    home: Home, order: Order, error: RunError, kind: type[Exception]
) -> None:
    write_failure(order.folder, error)
    with pytest.raises(kind, match=f"^{error}$") as caught:
        follow(home, order, 0)
    assert caught.value.exit_code == error.exit_code  # type: ignore[attr-defined]


def test_a_stopped_run_is_no_success(home: Home, order: Order) -> None:
    (order.folder / STOP).touch()
    write_failure(order.folder, RunError("The run was stopped."))
    with pytest.raises(RunError, match="stopped"):
        follow(home, order, 0)


def test_the_end_of_the_server_is_told(
    home: Home, order: Order, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = threading.Event()
    errors: list[Exception] = []

    def watch() -> None:
        try:
            follow(home, order, 0)
        except RunError as error:
            errors.append(error)
        ended.set()

    def wait_for(text: str) -> str:
        said, deadline = "", time.monotonic() + 60
        while text not in said and time.monotonic() < deadline:
            said += capsys.readouterr().err
            time.sleep(0.01)
        assert text in said
        return said

    with only_one(home):
        threading.Thread(target=watch, daemon=True).start()
        say(order, "under way")
        wait_for("under way")
    wait_for("The server process has ended; the run goes on when `fedthaw server run`")
    with only_one(home):
        wait_for("The server process is running; the run goes on.")
        write_failure(order.folder, RunError("enough"))
        assert ended.wait(60)
    assert [str(error) for error in errors] == ["enough"]


def test_a_run_without_a_log_has_said_nothing(order: Order) -> None:
    assert end_of_log(order) == 0
