"""An approved bundle that looks for the site's secrets and for a way out, in a real process."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.app.user_config import UserConfig
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

from client.node.bundles import make_room
from client.node.home import SiteHome
from client.node.resident import end_worker, let_work, start_worker
from client.node.sandbox.confine import landlock_version
from client.node.sandbox.reach import Reach
from client.node.sandbox.rules import reach_for, what_holds
from client.node.transfer import Received

pytestmark = pytest.mark.skipif(
    not (what_holds().files and what_holds().network), reason="this kernel has no landlock"
)

APP = """
import json, os, signal, socket, subprocess, sys, tempfile
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
app = ClientApp()

def attempt(action):
    try:
        return repr(action())
    except BaseException as error:
        return type(error).__name__

def read(path):
    with open(path, "rb") as file:
        return len(file.read())

def write(path):
    with open(path, "ab") as file:
        return file.write(b"x")

def kept(folder):
    path = os.path.join(folder, "kept")
    write(path)
    os.replace(path, os.path.join(folder, "moved"))
    return read(os.path.join(folder, "moved"))

@app.query()
def query(message, context):
    names = json.loads(context.run_config["paths"])
    parent = os.getppid()
    python = [sys.executable, "-c", "import sys; print(len(open(sys.argv[1]).read()))"]
    tried = {
        **{f"read {name}": attempt(lambda p=path: read(p)) for name, path in names.items()},
        **{f"write {name}": attempt(lambda p=path: write(p)) for name, path in names.items()},
        "list secrets": attempt(lambda: os.listdir(os.path.dirname(names["key"]))),
        "child": attempt(lambda: subprocess.run([*python, names["key"]], check=True)),
        "environment of the parent": attempt(lambda: read(f"/proc/{parent}/environ")),
        "memory of the parent": attempt(lambda: read(f"/proc/{parent}/maps")),
        "signal to the parent": attempt(lambda: os.kill(parent, 0)),
        "remove": attempt(lambda: os.remove(names["approved"])),
        "hard link": attempt(lambda: os.link(names["key"], context.run_config["cache"] + "/k")),
        "tcp": attempt(lambda: socket.create_connection(("127.0.0.1", context.run_config["port"]))),
        "udp": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
        "ipv6": attempt(lambda: socket.socket(socket.AF_INET6)),
        "raw": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
        "temporary": attempt(lambda: tempfile.TemporaryFile().write(b"x")),
        "cache": attempt(lambda: kept(context.run_config["cache"])),
        "pair": attempt(lambda: len(socket.socketpair())),
        "program": attempt(lambda: subprocess.run(["/bin/true"]).returncode),
    }
    return Message(RecordDict({"tried": ConfigRecord({"json": json.dumps(tried)})}),
                   reply_to=message)
"""
SECRETS = ("key", "approved", "audit")
SITE = """
[site]
name = "north"
[data]
images = "images"
labels = "labels.csv"
patient = "patient"
outcome = "grade"
positive = ["severe"]
negative = ["none"]
[compute]
cache = "cache"
"""


@pytest.fixture
def home(tmp_path: Path) -> SiteHome:
    """A site's folder with secrets in its usual place."""
    (tmp_path / "site.toml").write_text(SITE, encoding="utf-8")
    (tmp_path / "labels.csv").write_text("patient,grade\n", encoding="utf-8")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "one.png").write_bytes(b"12345")
    home = SiteHome(tmp_path / "federation")
    home.path.mkdir()
    for file in (home.key, home.approved, home.audit.path):
        file.write_text("secret", encoding="utf-8")
    (tmp_path.parent / f"{tmp_path.name}-elsewhere").write_text("another user's", encoding="utf-8")
    return home


@pytest.fixture
def port() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def attack(
    home: SiteHome, port: int, make_received: Callable[[RecordDict], Received]
) -> Callable[[Callable[[Path], Reach | None]], dict[str, str]]:
    """What the bundle could do, by the name of the try; its room is among the secrets."""
    folder = home.path.parent
    paths = {
        "key": home.key, "approved": home.approved, "audit": home.audit.path,
        "labels": folder / "labels.csv", "image": folder / "images" / "one.png",
        "elsewhere": folder.parent / f"{folder.name}-elsewhere",
    }  # fmt: skip

    def run(reach: Callable[[Path], Reach | None]) -> dict[str, str]:
        room = make_room(home)
        sources = {"client/__init__.py": b"", "client/app.py": APP.encode()}
        worker = start_worker("digest", sources, room, reach(room))
        (folder / "cache").mkdir(exist_ok=True)
        config: UserConfig = {
            "paths": json.dumps({name: str(path) for name, path in paths.items()}),
            "port": port, "cache": str(folder / "cache"),
        }  # fmt: skip
        received = make_received(RecordDict({"ask": MetricRecord({"x": 1})}))
        try:
            context = Context(7, 42, {"site": str(folder)}, RecordDict(), config)
            reply = let_work(worker, received, context, threading.Event())
        finally:
            end_worker(worker)
        assert not worker.room.exists()
        message = inflate_object_from_contents(reply.tree.object_id, dict(reply.parts))
        assert isinstance(message, Message)
        tried: dict[str, str] = json.loads(str(message.content["tried"]["json"]))
        return tried

    return run


def test_without_a_sandbox_everything_is_within_reach(
    attack: Callable[..., dict[str, str]],
) -> None:
    """What the sandbox is for; else the test below would show nothing."""
    tried = attack(lambda _: None)
    for secret in SECRETS:
        assert tried[f"read {secret}"] == "6"
        assert tried[f"write {secret}"] == "1"
    assert tried["tcp"].startswith("<socket")
    assert tried["remove"] == "None"
    assert tried["signal to the parent"] == "None"


def test_in_the_sandbox_the_data_is_within_reach_and_nothing_else(
    attack: Callable[..., dict[str, str]], home: SiteHome
) -> None:
    tried = attack(lambda room: reach_for(home.path.parent, home, room))
    expected = {
        **{f"{how} {secret}": "PermissionError" for secret in SECRETS for how in ("read", "write")},
        "read labels": "14", "read image": "5", "read elsewhere": "PermissionError",
        "write labels": "PermissionError", "write image": "PermissionError",
        "write elsewhere": "PermissionError", "list secrets": "PermissionError",
        "child": "CalledProcessError", "environment of the parent": "PermissionError",
        "memory of the parent": "PermissionError", "remove": "PermissionError",
        "tcp": "PermissionError", "udp": "PermissionError", "ipv6": "PermissionError",
        "raw": "PermissionError",
        "temporary": "1", "cache": "1", "pair": "2", "program": "0",
    }  # fmt: skip
    assert {name: tried[name] for name in expected} == expected
    assert tried["hard link"] != "None"
    if landlock_version() >= 6:
        assert tried["signal to the parent"] == "PermissionError"
    for file in (home.key, home.approved, home.audit.path):
        assert file.read_text(encoding="utf-8") == "secret"


def test_a_file_that_is_replaced_is_another_reach(home: SiteHome, tmp_path: Path) -> None:
    before = reach_for(tmp_path, home, tmp_path / "room")
    assert before is not None
    assert before.stamp() == before.stamp()
    stamp = before.stamp()
    replacement = tmp_path / "new.csv"
    replacement.write_text("patient,grade\n", encoding="utf-8")
    os.replace(replacement, tmp_path / "labels.csv")
    after = reach_for(tmp_path, home, tmp_path / "room")
    assert after is not None
    assert after.stamp() != stamp


@pytest.mark.parametrize("sandbox", ["off", "auto", "required"])
def test_the_owner_decides(home: SiteHome, tmp_path: Path, sandbox: str) -> None:
    text = f'{SITE}[policy]\nsandbox = "{sandbox}"\n'
    (tmp_path / "site.toml").write_text(text, encoding="utf-8")
    reach = reach_for(tmp_path, home, tmp_path / "room")
    assert (reach is None) == (sandbox == "off")
