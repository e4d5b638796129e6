"""The queue of runs: in order, restarted when their process dies, and given up in the end."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from server.link.folder.home import Home
from server.link.jobs import runs as module
from server.link.jobs.orders import Order, read_order, write_order
from server.link.jobs.runs import TOKEN, Runs, advance, end
from server.link.superlink.state import Link
from server.results.shown import Shown
from server.run.failure import read_failure
from server.run.ledger import RoundRecord, append_round
from server.run.process import STOP
from shared.settings.config import RunConfig

CODE = b"code"
DIGEST = hashlib.sha256(CODE).hexdigest()


@dataclass
class Processes:
    """Stands for the runs' processes: each ends when it is told to."""

    started: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def spawn(self, runs: Runs, order: Order, token: str) -> subprocess.Popen[bytes]:
        self.started.append(order.name)
        self.tokens.append(token)
        (order.folder / TOKEN).write_text(token)
        words = [sys.executable, "-S", "-c", "import sys; sys.exit(int(sys.stdin.read() or 0))"]
        process = subprocess.Popen(words, stdin=subprocess.PIPE)
        self.running.append(process)
        return process

    def end(self, code: int = 1) -> None:
        """The process of the current run ends by itself."""
        self.running[-1].communicate(str(code).encode(), timeout=60)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    stub = Processes()
    monkeypatch.setattr(module, "_spawn", stub.spawn)
    monkeypatch.setattr(module, "RESTART_SECONDS", 0.0)
    yield stub
    for process in stub.running:
        process.kill()
        process.communicate()


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / f"{DIGEST}.fab").write_bytes(CODE)
    return Runs(Home(tmp_path), Link(), port=1)


@pytest.fixture
def submit(runs: Runs, micro_config: Callable[..., RunConfig]) -> Callable[..., Order]:
    def order(name: str, when: str = "2026-01-01", bundle: str = DIGEST) -> Order:
        made = Order(runs.home.runs / name, when, bundle, micro_config())
        write_order(made)
        return made

    return order


@pytest.fixture
def make_round(micro_config: Callable[..., RunConfig]) -> Callable[[Order, int], None]:
    """Note a finished round in the run's ledger."""

    def make(order: Order, number: int) -> None:
        record = RoundRecord(
            round=number, plan={}, sites={}, refused={}, attempts=1, loss=0.5, validation={},
            bytes_down=1, bytes_up=1, bytes_full_exchange=1, seconds=1.0, wait_seconds=0.0,
        )  # fmt: skip
        append_round(order.folder / "ledger.jsonl", Shown(record))

    return make


def test_runs_are_run_one_after_the_other(
    runs: Runs, processes: Processes, submit: Callable[..., Order]
) -> None:
    second, first = submit("a", "2026-02"), submit("b", "2026-01")
    for _ in range(3):
        advance(runs)
    assert processes.started == ["b"]
    assert runs.current == first
    (first.folder / "summary.json").write_text("{}")
    processes.end(0)
    advance(runs)
    assert not (first.folder / TOKEN).exists()
    advance(runs)
    assert processes.started == ["b", "a"]
    assert runs.current == second
    assert read_failure(first.folder) is None


def test_a_run_that_dies_is_started_again_with_another_token(
    runs: Runs, processes: Processes, submit: Callable[..., Order]
) -> None:
    submit("first")
    advance(runs)
    number = runs.number
    processes.end(-9 % 256)
    advance(runs)
    assert runs.current is None
    advance(runs)
    assert processes.started == ["first", "first"]
    assert runs.number != number
    assert processes.tokens[0] != processes.tokens[1]
    assert runs.link.get_task_by_token(processes.tokens[0]) is None


def test_three_deaths_without_a_round_end_the_run(
    runs: Runs, processes: Processes, submit: Callable[..., Order]
) -> None:
    order = submit("first")
    submit("next", "2026-02")
    for _ in range(3):
        assert order.state == "waiting"
        advance(runs)
        processes.end(3)
        advance(runs)
    assert order.state == "failed"
    failure = read_failure(order.folder)
    assert failure is not None
    assert failure.exit_code == 1
    assert "ended 3 times (last with 3)" in failure.sentence
    assert "fedthaw submit --resume first" in failure.sentence
    advance(runs)
    assert processes.started == ["first"] * 3 + ["next"]


def test_a_round_in_between_counts_as_progress(
    runs: Runs,
    processes: Processes,
    submit: Callable[..., Order],
    make_round: Callable[[Order, int], None],
) -> None:
    order = submit("first")
    for attempt in range(5):
        advance(runs)
        if attempt == 1:
            make_round(order, 1)
        processes.end()
        advance(runs)
        # Deaths in a row: 1, then 1 with a round, 2, 3.
        if attempt == 3:
            break
        assert order.state == "waiting"
    assert order.state == "failed"
    assert processes.started == ["first"] * 4


def test_a_run_that_says_why_it_failed_is_not_repeated(
    runs: Runs, processes: Processes, submit: Callable[..., Order]
) -> None:
    from server.run.failure import write_failure
    from shared.errors import ConfigError

    order = submit("first")
    advance(runs)
    write_failure(order.folder, ConfigError("rounds is wrong"))
    processes.end(2)
    for _ in range(3):
        advance(runs)
    assert processes.started == ["first"]
    failure = read_failure(order.folder)
    assert failure is not None
    assert (failure.sentence, failure.exit_code) == ("rounds is wrong", 2)


def test_memory_is_given_back_once_after_a_run(
    runs: Runs,
    processes: Processes,
    submit: Callable[..., Order],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not while another run is under way, and not before its last requests are over."""
    given: list[float] = []
    now = [1000.0]
    monkeypatch.setattr(module, "give_memory_back", lambda: given.append(now[0]))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for name in ("first", "second"):
        order = submit(name)
        advance(runs)
        now[0] += 100
        advance(runs)
        assert given == []
        (order.folder / "summary.json").write_text("{}")
        processes.end(0)
        advance(runs)
        now[0] += module.REST_SECONDS - 1
        if name == "first":
            continue
        advance(runs)
        assert given == []
    now[0] += 1
    for _ in range(3):
        advance(runs)
    assert given == [now[0]]


def test_nothing_is_restarted_at_once(
    runs: Runs,
    processes: Processes,
    submit: Callable[..., Order],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RESTART_SECONDS", 3600.0)
    submit("first")
    advance(runs)
    processes.end()
    for _ in range(5):
        advance(runs)
    assert processes.started == ["first"]


def test_a_run_that_is_stopped_in_the_queue_never_begins(
    runs: Runs, processes: Processes, submit: Callable[..., Order]
) -> None:
    order = submit("first")
    (order.folder / STOP).touch()
    advance(runs)
    assert processes.started == []
    assert order.state == "stopped"
    assert "stopped before it began" in read_failure(order.folder).sentence  # type: ignore[union-attr]


@pytest.mark.parametrize("bundle", ["0" * 64, "../../etc/passwd"])
def test_a_run_without_its_bundle_fails_and_the_next_begins(
    runs: Runs, processes: Processes, submit: Callable[..., Order], bundle: str
) -> None:
    order = submit("first", bundle=bundle)
    submit("second", "2026-02")
    advance(runs)
    assert order.state == "failed"
    assert "bundle cannot be used" in read_failure(order.folder).sentence  # type: ignore[union-attr]
    advance(runs)
    assert processes.started == ["second"]


def test_a_bundle_that_was_altered_is_not_run(
    runs: Runs, processes: Processes, submit: Callable[..., Order]
) -> None:
    (runs.home.path / "bundles" / f"{DIGEST}.fab").write_bytes(b"other code")
    order = submit("first")
    advance(runs)
    assert processes.started == []
    assert order.state == "failed"


def test_the_end_of_the_server_leaves_the_run_waiting(
    runs: Runs, processes: Processes, submit: Callable[..., Order]
) -> None:
    end(runs)
    order = submit("first")
    advance(runs)
    end(runs)
    assert processes.running[0].poll() is not None
    assert read_order(order.folder).state == "waiting"


def test_a_process_that_does_not_end_is_killed(
    runs: Runs,
    processes: Processes,
    submit: Callable[..., Order],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "END_SECONDS", 0.1)
    submit("first")
    advance(runs)
    assert runs.process is not None
    monkeypatch.setattr(runs.process, "terminate", lambda: None)
    end(runs)
    assert runs.process.returncode == -9


def test_the_token_is_private_and_no_word_of_the_command(
    runs: Runs, submit: Callable[..., Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def start(command: list[str], **more: Any) -> object:
        seen.update(more, command=command)
        return object()

    monkeypatch.setattr(subprocess, "Popen", start)
    order = submit("first")
    advance(runs)
    token = order.folder / TOKEN
    secret = token.read_text()
    assert runs.link.get_task_by_token(secret) is not None
    assert token.stat().st_mode & 0o777 == 0o600
    assert str(token) in seen["command"]
    assert secret not in " ".join(seen["command"]) + " ".join(seen["env"].values())
    assert seen["env"]["FLWR_TELEMETRY_ENABLED"] == "0"
    assert list(Path(seen["cwd"]).iterdir()) == []
    assert f"127.0.0.1:{runs.port}" in seen["command"]


def test_a_runs_process_asks_no_proxy_for_this_machine(
    runs: Runs, submit: Callable[..., Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(subprocess, "Popen", lambda command, **more: seen.update(more))
    monkeypatch.setenv("no_proxy", "hospital.example.org")
    submit("first")
    advance(runs)
    for name in ("no_proxy", "NO_PROXY"):
        assert seen["env"][name] == "hospital.example.org,127.0.0.1"
