"""What a site does with a message: works, refuses, writes down, sends."""

from __future__ import annotations

import json
import logging
import math
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.proto.node_pb2 import Node
from flwr.proto.run_pb2 import GetRunResponse
from flwr.proto.run_pb2 import Run as RunProto
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

from client.node import answering, contents, loop, permit, rotation, transfer
from client.node.answering import Site
from client.node.approvals import approve, revoke
from client.node.calls import RunOver, Stopped, Unrecognised
from client.node.home import SiteHome
from client.node.pending import read_pending
from client.node.resident import LimitReached, Limits, Reply, Worker, WorkerDied
from client.node.rotation import Rotation
from client.node.transfer import Received
from shared.audit.log import read
from shared.audit.syslog import Syslog
from shared.audit.verify import verify
from shared.errors import ConfigError, FedThawError, SiteError
from shared.protocol.replies import FAILED
from shared.settings.config import RunConfig
from shared.settings.parse import parse_run_config
from shared.settings.run_plan import approved_settings, plan_number

DIGEST = "d" * 64


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was pushed, as (the message's parts, the audit log's length then)."""
    pushed: list[Any] = []

    def push(connection: Any, message: Any, tree: Any, parts: Any, seconds: float) -> None:
        pushed.append((tree.object_id, dict(parts)))

    monkeypatch.setattr(answering, "push", push)
    return pushed


TOML = """[site]
name = "north"
[data]
images = "images"
labels = "labels.csv"
patient = "patient"
outcome = "outcome"
positive = [1]
negative = [0]
[policy]
"""
ASKED = RunConfig(rounds=7).to_flat()


@pytest.fixture
def site(made_home: SiteHome, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site whose coordinator runs one bundle."""
    about = {"fab_hash": DIGEST, "override_config": dict(ASKED)}
    monkeypatch.setattr(
        answering, "fetch_run", lambda connection, run: SimpleNamespace(run_id=run, **about)
    )
    connection = SimpleNamespace(node=Node(node_id=42), server="hub:1", stop=threading.Event())
    folder = made_home.path.parent
    (folder / "site.toml").write_text(TOML, encoding="utf-8")
    return Site(folder, made_home, connection)  # type: ignore[arg-type]


@pytest.fixture
def trusted(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Site:
    """The same, with code and settings approved."""
    approve(site.home, DIGEST, approved_settings(parse_run_config(ASKED)))
    monkeypatch.setattr(permit, "approved_bundle", lambda *_: b"")
    monkeypatch.setattr(answering, "read_sources", lambda *_: {})
    monkeypatch.setattr(answering, "reach_for", lambda *_: None)
    monkeypatch.setattr(answering, "fetch_weights", lambda *_: None)
    monkeypatch.setattr(
        answering, "start_worker",
        lambda digest, sources, room, reach: Worker(digest, None, None, room),  # type: ignore[arg-type]
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
    plan = plan_number(DIGEST, approved_settings(RunConfig(rounds=7)))[:12]
    assert f"has not approved plan {plan} (bundle {DIGEST}" in error.reason
    assert str(site.folder) not in error.reason
    (entry,) = read(site.home.audit.path)
    assert entry["content"]["error"]["reason"] == error.reason
    assert (entry["to"], entry["run"], entry["bundle"]) == ("hub:1", 7, None)
    assert entry["settings"] == ASKED
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

    def work(
        worker: Worker, received: Received, context: Any, stop: threading.Event, limits: Any
    ) -> Reply:
        contexts.append(context)
        return make_reply(RecordDict(), "query")

    monkeypatch.setattr(answering, "let_work", work)
    serve(trusted, received, monkeypatch)
    assert len(sent) == len(list(read(trusted.home.audit.path))) == 1
    assert contexts[0].node_config == {
        "site": str(trusted.folder), "deployed": True, "keep": str(trusted.home.kept),
    }  # fmt: skip
    # All settings, so that no default of the bundle's pyproject.toml is a setting.
    assert contexts[0].run_config == ASKED
    (entry,) = read(trusted.home.audit.path)
    assert (entry["bundle"], entry["settings"]) == (DIGEST, ASKED)
    assert entry["asked"]["type"] == received.message.metadata.message_type


def test_a_message_with_bytes_in_it_is_written_down_too(
    site: Site, sent: list[Any], make_received: Callable[[RecordDict], Received],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Flower's records and settings may hold bytes, which JSON has not; no message of ours does."""
    about = SimpleNamespace(
        run_id=7, fab_hash=DIGEST, override_config={"rounds": 7, "backbone": b"\xff"}
    )
    monkeypatch.setattr(answering, "fetch_run", lambda *_: about)
    content = RecordDict({"plan": ConfigRecord({"run": b"\x00\x01", "more": [b"\x02", b""]})})
    serve(site, make_received(content), monkeypatch)
    assert error_in(sent[0]).code == FAILED
    (entry,) = read(site.home.audit.path)
    assert entry["asked"]["content"] == {"plan": {"run": "0001", "more": ["02", ""]}}
    assert entry["settings"] == {"rounds": 7, "backbone": "ff"}


def broken(received: Received, change: Callable[[str, bytes], bytes]) -> Received:
    parts = {name: change(name, part) for name, part in received.parts.items()}
    return Received(received.message, received.tree, parts)


def many_times(name: str, part: bytes) -> bytes:
    """An array that names its one piece, of 1 MB, a thousand times."""
    head, _, body = part.partition(b"\0")
    kind, pieces, _ = head.split(b" ")
    if kind != b"Array":
        return part
    body = json.dumps(json.loads(body) | {"arraychunk_ids": [0] * 1000}).encode()
    return b" ".join([kind, pieces, str(len(body)).encode()]) + b"\0" + body


BLOCK = ArrayRecord({"block": Array("uint8", (10**6,), "fedthaw.packed", bytes(10**6))})
HOSTILE: dict[str, tuple[Any, Callable[[str, bytes], bytes], str]] = {
    "garbage": (BLOCK, lambda name, part: b"garbage", "it cannot be read (ValueError)"),
    "cut short": (BLOCK, lambda name, part: part[:-1], "it cannot be read ("),
    "a gigabyte": (BLOCK, many_times, "its tensors take 10000"),
    "a long text": (
        ConfigRecord({"run": "x" * 2**20}), lambda name, part: part, "bytes besides tensors",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("record", "change", "why"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_message_that_cannot_be_read_is_dropped(
    trusted: Site, sent: list[Any], make_received: Callable[[RecordDict], Received],
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    record: Any, change: Callable[[str, bytes], bytes], why: str,
) -> None:  # fmt: skip
    """Whatever the coordinator sends, the site goes on; nobody looks at it any further."""
    received = make_received(RecordDict({"delta": record}))
    caplog.set_level(logging.WARNING, "fedthaw.site")  # a command in this process raises it
    monkeypatch.setattr(contents, "MOST_BESIDES_TENSORS", 2**20)  # quicker than the real bound
    monkeypatch.setattr(answering, "let_work", lambda *_: pytest.fail("it was worked on"))
    serve(trusted, broken(received, change), monkeypatch)
    assert "A message was dropped: " in caplog.text
    assert why in caplog.text
    assert sent == []
    assert list(read(trusted.home.audit.path)) == []


def test_a_run_whose_settings_cannot_be_read_is_over() -> None:
    """A value of no type, of which Flower makes a TypeError."""
    answer = GetRunResponse(run=RunProto(run_id=7))
    answer.run.override_config["rounds"].SetInParent()
    client = SimpleNamespace(GetRun=lambda request: answer)
    connection: Any = SimpleNamespace(
        client=client, node=Node(node_id=42), lost="", stop=threading.Event(), server="hub:1"
    )
    with pytest.raises(RunOver, match=r"its run cannot be read \(TypeError\)"):
        transfer.fetch_run(connection, 7)
    assert transfer.is_over(connection, 7)


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

    monkeypatch.setattr(answering, "let_work", work)
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

    monkeypatch.setattr(answering, "let_work", work)
    serve(trusted, received, monkeypatch)
    assert len(tries) == answering.ATTEMPTS
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
    monkeypatch.setattr(answering, "let_work", lambda *_: make_reply(RecordDict(), "query"))
    serve(trusted, received, monkeypatch)
    revoke(trusted.home, DIGEST)
    monkeypatch.setattr(answering, "let_work", lambda *_: pytest.fail("it ran"))
    serve(trusted, received, monkeypatch)
    assert error_in(sent[1]).reason == unapproved()


def test_another_bundle_gets_another_process(
    trusted: Site,
    sent: list[Any],
    received: Received,
    make_reply: Callable[..., Reply],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(answering, "end_worker", lambda worker: ended.append(worker.bundle))
    monkeypatch.setattr(answering, "let_work", lambda *_: make_reply(RecordDict(), "query"))
    trusted.worker = Worker("another", None, None, Path())  # type: ignore[arg-type]
    serve(trusted, received, monkeypatch)
    assert ended == ["another"]
    assert trusted.worker is not None
    assert trusted.worker.bundle == DIGEST


def test_a_run_that_is_over_is_dropped_and_the_site_goes_on(
    site: Site, sent: list[Any], received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> Any:
        raise RunOver("the coordinator answers 404")

    monkeypatch.setattr(answering, "fetch_run", gone)
    serve(site, received, monkeypatch)
    assert sent == []
    assert not site.home.audit.path.exists()


def test_a_coordinator_that_refuses_each_question_is_not_asked_without_a_pause(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, asked = threading.Event(), 0
    waited: list[float | None] = []

    def refused(connection: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 3:
            stop.set()
        raise RunOver("the coordinator answers 403")

    monkeypatch.setattr(loop, "receive", refused)
    monkeypatch.setattr(stop, "wait", waited.append)
    loop._serve(site, stop)
    assert waited == [loop.DROPPED_SECONDS] * 3
    assert loop.DROPPED_SECONDS >= 1


def unapproved() -> str:
    plan = plan_number(DIGEST, approved_settings(RunConfig(rounds=7)))[:12]
    return (
        f"its owner has not approved plan {plan} (bundle {DIGEST} with these settings); "
        f"`fedthaw site approve FOLDER {plan}` there allows it"
    )


def test_a_lost_connection_is_not_answered_on(
    site: Site, sent: list[Any], received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> Any:
        raise Unrecognised("gone")

    monkeypatch.setattr(answering, "fetch_run", lost)
    with pytest.raises(Unrecognised):
        serve(site, received, monkeypatch)
    assert sent == []


def test_an_end_within_the_work_is_not_answered(
    trusted: Site, sent: list[Any], received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator waits for the site instead, as for any that is away."""
    stops: list[threading.Event] = []

    def work(
        worker: Worker, received: Received, context: Any, stop: threading.Event, limits: Any
    ) -> Reply:
        stops.append(stop)
        raise Stopped("the site is shutting down")

    monkeypatch.setattr(answering, "let_work", work)
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
    assert caplog.text.count("To approve it: `fedthaw site approve") == 1


def test_one_process_serves_a_site(made_home: SiteHome) -> None:
    with (
        loop._only_one(made_home),
        pytest.raises(SiteError, match="Another process serves"),
        loop._only_one(made_home),
    ):
        pass
    with loop._only_one(made_home):
        assert made_home.lock.exists()


def answered(site: Site, sent: list[Any]) -> str | None:
    """Why the last message was not worked on, None where it was."""
    content = list(read(site.home.audit.path))[-1]["content"]
    return str(content["error"]["reason"]) if "error" in content else None


@pytest.fixture
def working(
    trusted: Site, make_reply: Callable[..., Reply], monkeypatch: pytest.MonkeyPatch
) -> Site:
    """A site whose working process answers whatever comes."""
    monkeypatch.setattr(answering, "let_work", lambda *_: make_reply(RecordDict(), "query"))
    return trusted


def asking(site: Site, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    """The coordinator's next run has these settings."""
    site.run = None
    about = {"fab_hash": DIGEST, "override_config": RunConfig(**settings).to_flat()}
    monkeypatch.setattr(
        answering, "fetch_run", lambda connection, run: SimpleNamespace(run_id=run, **about)
    )


def test_other_settings_need_another_approval(
    working: Site, sent: list[Any], received: Received, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    serve(working, received, monkeypatch)
    assert answered(working, sent) is None
    asking(working, monkeypatch, rounds=8)
    serve(working, received, monkeypatch)
    assert "its owner has not approved plan" in str(answered(working, sent))
    (pending,) = read_pending(working.home)
    command = f"fedthaw site approve {working.folder} {pending.plan[:12]}"
    assert command in caplog.text
    assert "its code is approved here, but not with these settings" in caplog.text
    assert pending.config.rounds == 8
    approve(working.home, pending.bundle, pending.settings)
    serve(working, received, monkeypatch)
    assert answered(working, sent) is None
    # Fold and seed are those of a study's other runs; the number of folds is not.
    asking(working, monkeypatch, rounds=7, seed=5)
    serve(working, received, monkeypatch)
    assert answered(working, sent) is None
    asking(working, monkeypatch, rounds=7, folds=5, fold=1)
    serve(working, received, monkeypatch)
    assert "has not approved" in str(answered(working, sent))


def test_an_approval_of_before_says_why_it_is_none_any_more(
    working: Site, sent: list[Any], received: Received, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    old = [{"digest": DIGEST, "when": "2026-01-01T00:00:00+00:00", "note": ""}]
    working.home.approved.write_text(json.dumps(old))
    serve(working, received, monkeypatch)
    assert answered(working, sent) == unapproved()
    assert "its code was approved before approvals were of settings too" in caplog.text


def test_the_policy_binds_although_all_settings_are_approved(
    working: Site, sent: list[Any], received: Received, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    approve(working.home, DIGEST, None)
    asking(working, monkeypatch, optimizer="sgd", image_size=2048)
    serve(working, received, monkeypatch)
    assert answered(working, sent) == (
        "its owner's policy does not allow this: optimizers is adamw, adamw8bit and the run asks "
        "for optimizer=sgd; most-image-size is 1024 and the run asks for image-size=2048"
    )
    toml = working.folder / "site.toml"
    more = 'optimizers = ["adamw", "sgd"]\nmost-image-size = 0\n'
    toml.write_text(TOML + more, encoding="utf-8")
    serve(working, received, monkeypatch)
    assert answered(working, sent) is None


def test_a_quota_is_charged_before_the_answer_and_survives_a_restart(
    working: Site, sent: list[Any], received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    (working.folder / "site.toml").write_text(TOML + "runs-per-day = 1\n", encoding="utf-8")

    def killed(*_: Any) -> Reply:
        assert json.loads(working.home.quota.read_text())["today"]["runs"] == 1
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(answering, "let_work", killed)
        with pytest.raises(KeyboardInterrupt):
            serve(working, received, patch)
    again = Site(working.folder, working.home, working.connection)
    serve(again, received, monkeypatch)  # the same run
    assert answered(again, sent) is None
    approve(working.home, DIGEST, None)
    asking(again, monkeypatch, rounds=8)
    serve(again, received, monkeypatch)
    assert answered(again, sent) == (
        "its owner's policy does not allow this: runs-per-day is 1 and the run asks for number 2"
    )


def test_a_clock_that_is_set_while_the_site_works_costs_it_no_hours(
    working: Site, sent: list[Any], received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without a battery for its clock starts years ago, until NTP has set it."""
    (working.folder / "site.toml").write_text(TOML + "hours-per-run = 1\n", encoding="utf-8")
    work = vars(answering)["let_work"]

    def set_meanwhile(*given: Any) -> Reply:
        account = json.loads(working.home.quota.read_text())
        account["since"] -= 6 * 365 * 86_400.0
        working.home.quota.write_text(json.dumps(account), encoding="utf-8")
        reply: Reply = work(*given)
        return reply

    monkeypatch.setattr(answering, "let_work", set_meanwhile)
    serve(working, received, monkeypatch)
    assert answered(working, sent) is None
    assert json.loads(working.home.quota.read_text())["in_all"]["seconds"] < 600


def test_settings_that_this_site_does_not_know_are_refused(
    working: Site, sent: list[Any], received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy cannot judge what it does not know."""
    working.run = None
    about = {"fab_hash": DIGEST, "override_config": {**ASKED, "send-pixels": True}}
    monkeypatch.setattr(
        answering, "fetch_run", lambda connection, run: SimpleNamespace(run_id=run, **about)
    )
    serve(working, received, monkeypatch)
    assert answered(working, sent) == ConfigError.default_shareable


def test_work_beyond_the_owners_limits_is_refused(
    working: Site, sent: list[Any], received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = "most-memory = 1.5\nhours-per-run = 0.5\n"
    (working.folder / "site.toml").write_text(TOML + limits, encoding="utf-8")

    def work(worker: Any, received: Any, context: Any, stop: Any, limits: Any) -> Reply:
        assert limits == Limits(memory=1_500_000_000, seconds=1800.0)
        raise LimitReached("memory")

    monkeypatch.setattr(answering, "let_work", work)
    serve(working, received, monkeypatch)
    assert answered(working, sent) == (
        "its owner's policy does not allow this: most-memory is 1.5 GB and the run asks for more"
    )
    assert working.worker is None


@pytest.mark.parametrize(("since", "tries"), [(None, 1), (math.inf, 0)])
def test_an_idle_site_tries_its_next_key(
    site: Site, monkeypatch: pytest.MonkeyPatch, since: float | None, tries: int
) -> None:
    """Once an hour, between messages."""
    stop, tried = threading.Event(), []
    # The monotonic clock of a machine that has just started is near 0.
    monkeypatch.setattr(rotation, "time", SimpleNamespace(monotonic=lambda: 30.0))
    site.rotation = Rotation(site.home, None)
    if since is not None:
        site.rotation.tried = since

    def nothing(connection: Any) -> None:
        stop.set()

    monkeypatch.setattr(loop, "receive", nothing)
    monkeypatch.setattr(loop, "take_next_key", lambda *words: tried.append(words))
    loop._serve(site, stop)
    assert tried == [(site.rotation, site.connection)] * tries


@pytest.mark.parametrize("over", [True, False])
def test_a_working_process_ends_with_its_run(
    site: Site, monkeypatch: pytest.MonkeyPatch, over: bool
) -> None:
    """While the run goes on, other sites may be slow: it stays."""
    stop = threading.Event()
    ended: list[Worker] = []
    asked: list[int] = []
    site.worker = Worker(DIGEST, None, None, Path())  # type: ignore[arg-type]
    site.run = SimpleNamespace(run_id=7)  # type: ignore[assignment]

    def is_over(connection: Any, run: int) -> bool:
        asked.append(run)
        return over

    def nothing(connection: Any) -> None:
        if ended or len(asked) == 2:
            stop.set()

    monkeypatch.setattr(loop, "receive", nothing)
    monkeypatch.setattr(loop, "is_over", is_over)
    monkeypatch.setattr(loop, "end_worker", ended.append)
    worker = site.worker
    loop._serve(site, stop)
    assert ended == ([worker] if over else [])
    assert site.worker is (None if over else worker)
    assert asked == ([7] if over else [7, 7, 7])


def test_a_site_without_a_working_process_asks_for_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    monkeypatch.setattr(loop, "receive", lambda connection: stop.set())
    monkeypatch.setattr(loop, "is_over", lambda *_: pytest.fail("it asks"))
    site.run = SimpleNamespace(run_id=7)  # type: ignore[assignment]
    loop._serve(site, stop)
