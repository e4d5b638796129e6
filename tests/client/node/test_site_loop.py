"""What a site does with a message: works, refuses, writes down, sends."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flwr.app import Message, RecordDict
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

from client.node import loop
from client.node.approvals import approve, revoke
from client.node.calls import RunOver, Stopped, Unrecognised
from client.node.home import SiteHome
from client.node.loop import Site
from client.node.resident import Reply, Worker, WorkerDied
from client.node.transfer import Received
from shared.audit.log import read
from shared.audit.syslog import Syslog
from shared.audit.verify import verify
from shared.errors import FedThawError, SiteError
from shared.replies import FAILED

DIGEST = "d" * 64


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was pushed, as (the message's parts, the audit log's length then)."""
    pushed: list[Any] = []

    def push(connection: Any, message: Any, tree: Any, parts: Any, seconds: float) -> None:
        pushed.append((tree.object_id, dict(parts)))

    monkeypatch.setattr(loop, "push", push)
    return pushed


@pytest.fixture
def site(made_home: SiteHome, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site whose coordinator runs one bundle."""
    monkeypatch.setattr(
        loop,
        "fetch_run",
        lambda connection, run: SimpleNamespace(
            run_id=run, fab_hash=DIGEST, override_config={"rounds": 5}
        ),
    )
    connection = SimpleNamespace(node=Node(node_id=42), server="hub:1", stop=threading.Event())
    return Site(made_home.path.parent, made_home, connection)  # type: ignore[arg-type]


@pytest.fixture
def trusted(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Site:
    """The same, with the bundle approved; a worker's start and end are noted."""
    from client.node.approvals import read_approvals

    def bundle(home: SiteHome, digest: str, fetch: Callable[[], bytes], *_: Any) -> bytes:
        if digest not in read_approvals(home):
            raise SiteError("not approved", shareable="its owner has not approved it")
        return b""

    approve(site.home, DIGEST)
    monkeypatch.setattr(loop, "approved_bundle", bundle)
    monkeypatch.setattr(loop, "unpack", lambda home, digest, content: tmp_path)
    monkeypatch.setattr(loop, "get_fused_config_from_fab", lambda content, about: {"rounds": 1})
    monkeypatch.setattr(loop, "reach_for", lambda *_: lambda scratch: None)
    monkeypatch.setattr(loop, "fetch_weights", lambda *_: None)
    monkeypatch.setattr(
        loop, "start_worker", lambda digest, folder, reach: Worker(digest, None, None, tmp_path)  # type: ignore[arg-type]
    )  # fmt: skip
    return site


@pytest.fixture
def received(make_received: Callable[[RecordDict], Received]) -> Received:
    return make_received(RecordDict())


def error_in(parts: tuple[str, dict[str, bytes]]) -> Any:
    message = inflate_object_from_contents(parts[0], dict(parts[1]))
    assert isinstance(message, Message)
    return message.error


def serve(site: Site, received: Received, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message, then the end."""
    stop = threading.Event()

    def announce(connection: Any) -> tuple[Message, Any]:
        stop.set()
        return received.message, received.tree

    monkeypatch.setattr(loop, "receive", announce)
    monkeypatch.setattr(loop, "fetch_parts", lambda connection, message, tree: received)
    loop._serve(site, stop)


def test_an_unapproved_bundle_is_answered_without_naming_a_path(
    site: Site, sent: list[Any], received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(site, received, monkeypatch)
    error = error_in(sent[0])
    assert error.code == FAILED
    assert f"has not approved bundle {DIGEST}" in error.reason
    assert str(site.folder) not in error.reason
    (entry,) = read(site.home.audit.path)
    assert entry["content"]["error"]["reason"] == error.reason
    assert (entry["to"], entry["run"], entry["bundle"]) == ("hub:1", 7, None)
    assert entry["settings"] == {"rounds": 5}
    assert verify(site.home.audit).intact
    assert entry["bytes"] == sum(len(part) for part in sent[0][1].values())


def test_the_work_is_sent_after_it_is_written_down(
    trusted: Site,
    sent: list[Any],
    received: Received,
    make_reply: Callable[..., Reply],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contexts = []

    def work(worker: Worker, received: Received, context: Any, stop: threading.Event) -> Reply:
        contexts.append(context)
        return make_reply(RecordDict(), "query")

    monkeypatch.setattr(loop, "let_work", work)
    serve(trusted, received, monkeypatch)
    assert len(sent) == len(list(read(trusted.home.audit.path))) == 1
    assert contexts[0].node_config == {"site": str(trusted.folder), "deployed": True}
    assert contexts[0].run_config == {"rounds": 1}
    (entry,) = read(trusted.home.audit.path)
    assert (entry["bundle"], entry["settings"]) == (DIGEST, {"rounds": 1})
    assert entry["asked"]["type"] == received.message.metadata.message_type


def test_an_entry_goes_to_syslog_as_well(
    site: Site, sent: list[Any], received: Received, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(str(tmp_path / "log"))
        site.syslog = Syslog(str(tmp_path / "log"), "fedthaw-site")
        serve(site, received, monkeypatch)
        site.syslog.close()
        (entry,) = read(site.home.audit.path)
        copy = json.loads(service.recv(4096).partition(b": ")[2])
    assert copy.items() <= entry.items()
    assert copy["chain"] == entry["chain"]


def test_nothing_is_sent_that_cannot_be_written_down(
    site: Site, sent: list[Any], received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.home.audit.path.mkdir()
    with pytest.raises(FedThawError, match="cannot be written") as caught:
        serve(site, received, monkeypatch)
    # Room on a disk comes back, and who starts the site again does so for this exit code.
    assert caught.value.exit_code == 1
    assert sent == []


def test_a_worker_that_dies_is_replaced_once(
    trusted: Site,
    sent: list[Any],
    received: Received,
    make_reply: Callable[..., Reply],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deaths = [WorkerDied("signal 9")]

    def work(*_: Any) -> Reply:
        if deaths:
            raise deaths.pop()
        return make_reply(RecordDict(), "query")

    monkeypatch.setattr(loop, "let_work", work)
    serve(trusted, received, monkeypatch)
    assert "error" not in next(read(trusted.home.audit.path))["content"]


def test_a_worker_that_dies_again_becomes_an_error(
    trusted: Site,
    sent: list[Any],
    received: Received,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries = []

    def work(*_: Any) -> Reply:
        tries.append(1)
        raise WorkerDied("it was killed in /data/north")

    monkeypatch.setattr(loop, "let_work", work)
    serve(trusted, received, monkeypatch)
    assert len(tries) == loop.ATTEMPTS
    assert trusted.worker is None
    assert error_in(sent[0]).reason == "its working process died; the site's own log says more"
    assert "it was killed in /data/north" in caplog.text


def test_a_revoked_bundle_runs_no_longer_within_its_run(
    trusted: Site,
    sent: list[Any],
    received: Received,
    make_reply: Callable[..., Reply],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "let_work", lambda *_: make_reply(RecordDict(), "query"))
    serve(trusted, received, monkeypatch)
    revoke(trusted.home, DIGEST)
    monkeypatch.setattr(loop, "let_work", lambda *_: pytest.fail("it ran"))
    serve(trusted, received, monkeypatch)
    assert error_in(sent[1]).reason == "its owner has not approved it"


def test_another_bundle_gets_another_process(
    trusted: Site,
    sent: list[Any],
    received: Received,
    make_reply: Callable[..., Reply],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(loop, "end_worker", lambda worker: ended.append(worker.bundle))
    monkeypatch.setattr(loop, "let_work", lambda *_: make_reply(RecordDict(), "query"))
    trusted.worker = Worker("another", None, None, Path("scratch"))  # type: ignore[arg-type]
    serve(trusted, received, monkeypatch)
    assert ended == ["another"]
    assert trusted.worker is not None
    assert trusted.worker.bundle == DIGEST


def test_a_run_that_is_over_is_dropped_and_the_site_goes_on(
    site: Site, sent: list[Any], received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> Any:
        raise RunOver("the coordinator answers 404")

    monkeypatch.setattr(loop, "fetch_run", gone)
    serve(site, received, monkeypatch)
    assert sent == []
    assert not site.home.audit.path.exists()


def test_a_lost_connection_is_not_answered_on(
    site: Site, sent: list[Any], received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> Any:
        raise Unrecognised("gone")

    monkeypatch.setattr(loop, "fetch_run", lost)
    with pytest.raises(Unrecognised):
        serve(site, received, monkeypatch)
    assert sent == []


def test_an_end_within_the_work_is_not_answered(
    trusted: Site, sent: list[Any], received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator waits for the site instead, as for any that is away."""
    stops: list[threading.Event] = []

    def work(worker: Worker, received: Received, context: Any, stop: threading.Event) -> Reply:
        stops.append(stop)
        raise Stopped("the site is being ended")

    monkeypatch.setattr(loop, "let_work", work)
    with pytest.raises(Stopped):
        serve(trusted, received, monkeypatch)
    assert stops == [trusted.connection.stop]
    assert sent == []
    assert not trusted.home.audit.path.exists()


def test_the_owner_is_told_once(
    site: Site,
    sent: list[Any],
    received: Received,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(3):
        serve(site, received, monkeypatch)
    assert len(sent) == 3
    assert caplog.text.count("fedthaw site approve") == 1


def test_one_process_serves_a_site(made_home: SiteHome) -> None:
    with (
        loop._only_one(made_home),
        pytest.raises(SiteError, match="Another process serves"),
        loop._only_one(made_home),
    ):
        pass
    with loop._only_one(made_home):
        assert made_home.lock.exists()
