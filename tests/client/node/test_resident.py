"""A real working process with a bundle of a few lines: works, dies, ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

from client.node.calls import Stopped
from client.node.resident import (
    LimitReached,
    Limits,
    Worker,
    WorkerDied,
    end_worker,
    let_work,
    resident_bytes,
    start_worker,
    without_secrets,
)
from client.node.transfer import Received

APP = """
import os, sys, time
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
app = ClientApp()
seen = 0

@app.query()
def query(message, context):
    global seen
    seen += 1
    asked = message.content["ask"]
    if asked["signal"]:
        os.kill(os.getpid(), asked["signal"])
    if asked["exit"]:
        os._exit(asked["exit"])
    time.sleep(asked["seconds"])
    observed = ConfigRecord({
        "site": context.node_config["site"],
        "rounds": context.run_config["rounds"],
        "torch": "torch" in sys.modules,
        "fedthaw": any(name in sys.modules for name in ("shared", "server")),
        "app": sys.modules["client.app"].__file__,
        "folder": os.getcwd(),
    })
    counts = MetricRecord({"seen": seen, "pid": os.getpid()})
    return Message(RecordDict({"observed": observed, "counts": counts}), reply_to=message)
"""
NO_LIMITS = Limits()
MakeReceived = Callable[[RecordDict], Received]


def bundle_of(code: str) -> dict[str, bytes]:
    return {"client/__init__.py": b"", "client/app.py": code.encode()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "room").mkdir()
    return tmp_path / "room"


@pytest.fixture
def worker(folder: Path) -> Iterator[Worker]:
    started = start_worker("digest", bundle_of(APP), folder, None)
    yield started
    started.process.kill()
    end_worker(started)


def ask(
    make_received: MakeReceived,
    worker: Worker,
    stop: threading.Event | None = None,
    limits: Limits = NO_LIMITS,
    **what: int,
) -> tuple[Message, RecordDict]:
    values = {"signal": 0, "exit": 0, "seconds": 0} | what
    received = make_received(RecordDict({"ask": MetricRecord({**values})}))
    context = Context(7, 42, {"site": "/data/north"}, RecordDict(), {"rounds": 3})
    reply = let_work(worker, received, context, stop or threading.Event(), limits)
    message = inflate_object_from_contents(reply.tree.object_id, dict(reply.parts))
    assert isinstance(message, Message)
    assert reply.message.metadata.reply_to_message_id == received.tree.object_id
    return message, message.content


def test_one_process_answers_message_after_message(
    worker: Worker, folder: Path, make_received: MakeReceived
) -> None:
    message, content = ask(make_received, worker)
    observed = content["observed"]
    assert (observed["site"], observed["rounds"]) == ("/data/north", 3)
    # The packages are the bundle's, and nothing of what is installed here comes with them.
    assert (observed["torch"], observed["fedthaw"]) == (False, False)
    assert observed["app"] == str(folder / "client" / "app.py")
    assert observed["folder"] == str(folder)
    assert message.metadata.src_node_id == 42
    _, again = ask(make_received, worker)
    assert again["counts"]["seen"] == 2
    assert again["counts"]["pid"] == content["counts"]["pid"] == worker.process.pid
    end_worker(worker)
    assert worker.process.returncode == 0
    assert not folder.exists()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"signal": int(signal.SIGKILL)}, "signal 9.*memory runs out"),
        ({"signal": int(signal.SIGSEGV)}, "ended by signal 11"),
        ({"exit": 3}, "ended with 3"),
    ],
)
def test_a_death_is_told_with_its_cause(
    worker: Worker, make_received: MakeReceived, what: dict[str, int], said: str
) -> None:
    with pytest.raises(WorkerDied, match=said):
        ask(make_received, worker, None, NO_LIMITS, **what)
    with pytest.raises(WorkerDied, match=said):  # and nothing hangs afterwards
        ask(make_received, worker)


@pytest.mark.parametrize(
    "code",
    [
        "raise RuntimeError('broken')",
        "app = 7",
        "import client.handlers",  # installed here, and not in the bundle
        "import shared.settings.config",
    ],
)
def test_a_broken_bundle_is_a_death(tmp_path: Path, make_received: MakeReceived, code: str) -> None:
    started = start_worker("digest", bundle_of(code), tmp_path, None)
    try:
        with pytest.raises(WorkerDied, match="ended with 1"):
            ask(make_received, started)
    finally:
        started.process.kill()
        end_worker(started)


def test_a_worker_that_hangs_is_killed(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    os.kill(worker.process.pid, signal.SIGSTOP)
    monkeypatch.setattr("client.node.resident.END_SECONDS", 0.1)
    end_worker(worker)
    assert worker.process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("after", [0.0, 1.5])
def test_who_ends_the_site_does_not_wait_for_its_work(
    worker: Worker, make_received: MakeReceived, after: float
) -> None:
    """Neither while the work is handed over, nor within it; and it is no death to be told of."""
    stop = threading.Event()
    threading.Timer(after, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(Stopped):
        ask(make_received, worker, stop, seconds=60)
    assert time.monotonic() - begun < after + 30
    assert worker.process.returncode == -signal.SIGKILL


def test_a_worker_beyond_its_owners_limits_is_killed(
    worker: Worker, make_received: MakeReceived
) -> None:
    ask(make_received, worker)
    with pytest.raises(LimitReached, match="hours"):
        ask(make_received, worker, limits=Limits(seconds=0.5), seconds=60)
    assert worker.process.returncode == -signal.SIGKILL


def test_a_worker_that_takes_too_much_memory_is_killed(
    worker: Worker, make_received: MakeReceived
) -> None:
    ask(make_received, worker, limits=Limits(memory=10**11))
    assert 10**7 < resident_bytes(worker.process.pid) < 10**11
    with pytest.raises(LimitReached, match="memory"):
        ask(make_received, worker, limits=Limits(memory=10**6), seconds=60)


def test_ctrl_c_is_for_the_sites_client(worker: Worker) -> None:
    """A terminal sends it to its whole session; the worker is in none of it."""
    assert os.getsid(worker.process.pid) == worker.process.pid != os.getsid(0)
    assert os.getpgid(worker.process.pid) == worker.process.pid


def test_a_bundle_sees_no_secrets_of_the_environment() -> None:
    kept = {"PATH": "/bin", "HOME": "/root", "CUDA_VISIBLE_DEVICES": "0", "FEDTHAW_CACHE": "/c"}
    secret = dict.fromkeys(
        ("https_proxy", "ALL_PROXY", "DB_PASSWORD", "FEDTHAW_SITE_PASSPHRASE_FILE",
         "AWS_SECRET_KEY", "GITHUB_TOKEN", "CREDENTIALS_DIRECTORY", "WANDB_API_KEY"), "x",
    )  # fmt: skip
    assert without_secrets(kept | secret) == kept
