"""A site changes over to its next key once the coordinator admits it, and not before."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from flwr.proto.fleet_pb2 import ActivateNodeRequest, ActivateNodeResponse
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

from client.node import calls, rotation
from client.node import connection as opening
from client.node.calls import Connection
from client.node.connection import Access, activate, connect
from client.node.home import SiteHome
from client.node.keys import create_next_key, promote_next_key
from client.node.rotation import Rotation, take_next_key
from shared.audit.log import read
from shared.deployment.keys import fingerprint, load_private_key, parse_public_key
from shared.storage.files import write_private

Registry = set[bytes]
SECRET = b"correct horse battery"


@pytest.fixture
def registry() -> Registry:
    """The keys that the coordinator admits, in Flower's form."""
    return set()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> list[bytes]:
    """The keys with which the coordinator was asked to activate a node."""
    found: list[bytes] = []
    real = httpx.Client

    def answer(request: httpx.Request) -> httpx.Response:
        key = ActivateNodeRequest.FromString(request.content).public_key
        found.append(key)
        if key not in registry:
            return httpx.Response(401)
        content = ActivateNodeResponse(node_id=len(found)).SerializeToString()
        headers = {"content-type": "application/protobuf"}
        return httpx.Response(200, content=content, headers=headers)

    monkeypatch.setattr(
        "client.node.connection.httpx.Client",
        lambda **_: real(transport=httpx.MockTransport(answer)),
    )
    for module in (calls, opening):
        monkeypatch.setattr(module, "RETRY_SECONDS", (0.0,))
    return found


@pytest.fixture
def connection(made_home: SiteHome, asked: list[bytes]) -> Iterator[Connection]:
    key = load_private_key(made_home.key)
    with connect(Access("127.0.0.1:1", None, key), threading.Event()) as opened:
        yield opened


def raw(public_key: Path) -> bytes:
    return parse_public_key(public_key.read_text(encoding="utf-8")).raw


def test_the_next_key_is_taken_once_it_is_admitted(
    made_home: SiteHome, connection: Connection, registry: Registry, asked: list[bytes]
) -> None:
    home, rotating = made_home, Rotation(made_home, None)
    old, old_file = raw(home.public_key), home.key.read_bytes()
    registry.add(old)
    assert not take_next_key(rotating, connection)
    assert asked == []
    assert create_next_key(home, "north")
    assert not create_next_key(home, "north")
    new, new_file = raw(home.next_public_key), home.next_key.read_bytes()
    activate(connection, lambda: take_next_key(rotating, connection))
    assert asked == [new, old]
    assert (connection.public_key, home.key.read_bytes()) == (old, old_file)
    registry.add(new)
    activate(connection, lambda: take_next_key(rotating, connection))
    assert asked == [new, old, new]
    assert (connection.public_key, connection.node.node_id) == (new, 3)
    assert (home.key.read_bytes(), home.old_key.read_bytes()) == (new_file, old_file)
    assert raw(home.public_key) == new
    assert not home.next_key.exists()
    assert not home.next_public_key.exists()
    (entry,) = read(home.audit.path)
    line = home.public_key.read_text(encoding="utf-8")
    assert (entry["event"], entry["key"]) == ("key renewed", fingerprint(line))
    activate(connection, lambda: take_next_key(rotating, connection))
    assert asked[3:] == [new]


def test_it_is_taken_too_where_the_old_key_has_ended_first(
    made_home: SiteHome, connection: Connection, registry: Registry,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("INFO", logger="fedthaw.site")
    create_next_key(made_home, "north")
    new = raw(made_home.next_public_key)
    attempts = []

    def changed_key() -> bool:
        attempts.append(1)
        if len(attempts) == 3:
            registry.add(new)
        return take_next_key(Rotation(made_home, None), connection)

    activate(connection, changed_key)
    assert len(attempts) == 3
    assert connection.public_key == new
    assert caplog.text.count("or the key has expired") == 1


def test_requests_are_signed_with_the_key_of_the_moment(
    made_home: SiteHome, connection: Connection, registry: Registry
) -> None:
    create_next_key(made_home, "north")
    registry.add(raw(made_home.next_public_key))
    sent: list[httpx.Request] = []
    connection.client._client.event_hooks["request"] = [sent.append]
    registry.add(connection.public_key)
    for _ in range(2):
        connection.client.ActivateNode(opening.activation(connection))
        take_next_key(Rotation(made_home, None), connection)
    shown = [request.headers["flwr-public-key"] for request in sent]
    assert shown[0] != shown[1]


@pytest.mark.parametrize("passphrase", [None, b"another passphrase"])
def test_a_next_key_that_cannot_be_opened_is_said_once(
    made_home: SiteHome, connection: Connection, registry: Registry, asked: list[bytes],
    caplog: pytest.LogCaptureFixture, passphrase: bytes | None,
) -> None:  # fmt: skip
    create_next_key(made_home, "north", SECRET)
    registry |= {raw(made_home.next_public_key), raw(made_home.public_key)}
    rotating = Rotation(made_home, None, passphrase)
    for _ in range(2):
        assert not take_next_key(rotating, connection)
    assert asked == []
    assert caplog.text.count("goes on with the key that it has") == 1
    assert take_next_key(Rotation(made_home, None, SECRET), connection)


def test_a_key_that_cannot_be_put_in_place_is_used_all_the_same(
    made_home: SiteHome, connection: Connection, registry: Registry, asked: list[bytes],
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """The disk is full; once it is not, the files follow, and the node is left alone."""
    create_next_key(made_home, "north")
    new = raw(made_home.next_public_key)
    registry.add(new)
    rotating = Rotation(made_home, None)

    def full(home: SiteHome) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rotation, "promote_next_key", full)
    assert take_next_key(rotating, connection)
    assert connection.public_key == new
    assert "No space left" in caplog.text
    monkeypatch.setattr(rotation, "promote_next_key", promote_next_key)
    assert not take_next_key(rotating, connection)
    assert asked == [new]
    assert raw(made_home.public_key) == new
    assert not made_home.next_key.exists()


def test_a_connected_site_tries_it_every_hour(
    made_home: SiteHome, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [10_000.0]
    monkeypatch.setattr("client.node.rotation.time.monotonic", lambda: now[0])
    rotating = Rotation(made_home, None)
    assert rotating.is_due()
    take_next_key(rotating, connection)
    due = []
    for _ in range(4):
        now[0] += 1200
        due.append(rotating.is_due())
    assert due == [False, False, True, True]


@pytest.mark.parametrize("step", range(1, 4))
def test_a_change_that_is_cut_off_leaves_a_whole_key(
    made_home: SiteHome, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Whatever is cut off, `key` is the old or the new one, and the new one is not lost."""
    create_next_key(made_home, "north")
    both = [made_home.key.read_bytes(), made_home.next_key.read_bytes()]
    steps = [0]

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*words: object) -> object:
            steps[0] += 1
            if steps[0] == step:
                raise OSError(5, "cut off")
            return real(*words)

        return call

    with monkeypatch.context() as patch:
        patch.setattr("client.node.keys.write_private", counted(write_private))
        patch.setattr("client.node.keys.os", SimpleNamespace(replace=counted(os.replace)))
        with pytest.raises(OSError, match="cut off"):
            promote_next_key(made_home)
    files = [f.read_bytes() for f in (made_home.key, made_home.next_key) if f.exists()]
    assert files == both
    promote_next_key(made_home)
    assert [made_home.old_key.read_bytes(), made_home.key.read_bytes()] == both
    assert raw(made_home.public_key) == public_key_to_bytes(
        load_private_key(made_home.key).public_key()
    )
