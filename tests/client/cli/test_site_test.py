"""`fedthaw site test`: each thing that keeps a site from running is said, with what to do."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from client.node.home import SiteHome
from client.node.pending import NotApproved, require_approved
from server.link.folder import authority
from shared.deployment.invitation import Invitation
from shared.deployment.wire import STRANGER
from shared.settings.config import RunConfig

Here = Callable[..., tuple[int, str, str]]


@dataclass
class Hub:
    """Stands for a coordinator: TLS, /health, and whether it knows the site's key."""

    port: int = 0
    ca: str = ""
    ahead: float = 0.0
    """Seconds that this machine's clock is ahead of its."""
    status: int = 200
    knows: bool = True
    heard: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


class Earlier(datetime):
    """The clock, 400 days ago."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) - timedelta(days=400)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Hub]]:
    servers: list[ThreadingHTTPServer] = []

    def make(days: int = 365, names: tuple[str, ...] = ("hub.example.org",)) -> Hub:
        hub = Hub()
        ca, ca_key = authority.create_authority("hub")
        certificate, key = authority.issue_certificate(ca, ca_key, names, days)
        pem = tmp_path / f"server-{len(servers)}.pem"
        pem.write_text(certificate + key)
        hub.ca = ca

        class Handler(BaseHTTPRequestHandler):
            def date_time_string(self, timestamp: float | None = None) -> str:
                return format_datetime(
                    datetime.now(UTC) - timedelta(seconds=hub.ahead), usegmt=True
                )

            def do_GET(self) -> None:
                self.answer(hub.status, b"")

            def do_POST(self) -> None:
                hub.heard += 1
                self.answer(401, b"no such node" if hub.knows else STRANGER.encode())

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        hub.port = server.server_port
        return hub

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def join(tmp_path: Path, write_site: Callable[..., Path], here: Here) -> Callable[[str, str], Path]:
    """A site's folder that was invited to this address by this authority."""

    def make(address: str, ca: str) -> Path:
        folder = write_site(tmp_path, "north", 4)
        (tmp_path / "north.json").write_text(Invitation("north", address, ca).to_text())
        assert here("site", "init", folder, "--invitation", tmp_path / "north.json")[0] == 0
        return folder

    return make


def findings(
    here: Here, folder: Path, *more: object
) -> tuple[int, dict[str, tuple[str, str, str]]]:
    """The exit code, and of each check its state, what it found and the remedy."""
    code, out, err = here("site", "test", folder, "--json", *more)
    assert err == ""
    return code, {
        one["what"]: (one["state"], one["found"], one["remedy"]) for one in json.loads(out)
    }


def test_nothing_is_wrong(serve: Callable[..., Hub], join: Any, here: Here) -> None:
    hub = serve()
    folder = join(hub.address, hub.ca)
    code, found = findings(here, folder)
    assert code == 0
    assert {what for what, (state, *_) in found.items() if state == "wrong"} == set()
    assert "6 image files; 6 rows of 4 patients" in found["data"][1]
    assert found["connection"][1].endswith("ms, directly")
    assert "for hub.example.org, localhost, 127.0.0.1" in found["certificate"][1]
    assert found["registration"][0] == "ok"
    assert "nothing waits" in found["approval"][1]
    code, out, _ = here("site", "test", folder)
    assert (code, out.splitlines()[-1]) == (
        0, f"Nothing is wrong; `fedthaw site run {folder}` can be started.",
    )  # fmt: skip
    assert all(re.match(r"(OK|NOTE|WRONG) +[a-z.]+ ", line) for line in out.splitlines()[:-1])


def test_a_key_that_is_not_registered(serve: Callable[..., Hub], join: Any, here: Here) -> None:
    hub = serve()
    hub.knows = False
    code, found = findings(here, join(hub.address, hub.ca))
    assert (code, found["registration"][0]) == (1, "wrong")
    assert "fedthaw server register NAME key.pub" in found["registration"][2]


@pytest.mark.parametrize(
    ("ahead", "state", "said"),
    [
        (0, "ok", "agrees"), (60, "wrong", "ahead of"), (-60, "note", "behind"),
        (-900, "wrong", "s behind the coordinator's"),
    ],
)  # fmt: skip
def test_clocks_that_differ(
    serve: Callable[..., Hub], join: Any, here: Here, ahead: float, state: str, said: str
) -> None:
    hub = serve()
    hub.ahead = ahead
    code, found = findings(here, join(hub.address, hub.ca))
    assert (found["clock"][0], code) == (state, int(state == "wrong"))
    assert said in found["clock"][1]
    # Its signature would be refused for its time; that says nothing of the key.
    assert ("registration" in found) == (state != "wrong")


def test_a_certificate_of_another_authority(
    serve: Callable[..., Hub], join: Any, here: Here
) -> None:
    hub, other = serve(), serve()
    code, found = findings(here, join(hub.address, other.ca))
    state, said, remedy = found["certificate"]
    assert (code, state, found["connection"][0]) == (1, "wrong", "ok")
    assert "issued by CN=hub" in said
    assert "a proxy that opens TLS may stand between" in remedy
    assert hub.heard == 0


def test_a_certificate_of_another_name(serve: Callable[..., Hub], join: Any, here: Here) -> None:
    hub = serve()
    code, found = findings(here, join(f"127.0.0.2:{hub.port}", hub.ca))
    assert code == 1
    if "certificate" in found:  # where the whole of 127.0.0.0/8 is this machine
        assert "it is for hub.example.org" in found["certificate"][1]
        assert "--name 127.0.0.2" in found["certificate"][2]


def test_a_certificate_that_has_ended_and_one_that_ends_soon(
    serve: Callable[..., Hub], join: Any, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = serve(days=3)
    folder = join(soon.address, soon.ca)
    code, found = findings(here, folder)
    assert (code, found["certificate"][0]) == (0, "note")
    with monkeypatch.context() as patch:
        patch.setattr(authority, "datetime", Earlier)
        ended = serve()
    (folder / "federation" / "ca.crt").write_text(ended.ca)
    code, found = findings(here, folder, "--server", ended.address)
    assert (code, found["certificate"][0]) == (1, "wrong")
    assert "certificate has expired" in found["certificate"][1]
    assert "fedthaw server renew" in found["certificate"][2]


@pytest.mark.parametrize("kind", ["nobody", "no name", "no coordinator", "no TLS"])
def test_a_coordinator_that_is_not_reached(
    serve: Callable[..., Hub], join: Any, here: Here, kind: str, free_port: Callable[[], int],
) -> None:  # fmt: skip
    hub = serve()
    folder = join(hub.address, hub.ca)
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer() -> None:
            with suppress(OSError):  # the test has ended
                while True:
                    connection, _ = plain.accept()
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    connection.close()

        threading.Thread(target=answer, daemon=True).start()
        hub.status = 404 if kind == "no coordinator" else 200
        address = {
            "nobody": f"127.0.0.1:{free_port()}", "no name": "no-such-host.invalid:8443",
            "no coordinator": hub.address, "no TLS": f"127.0.0.1:{plain.getsockname()[1]}",
        }[kind]  # fmt: skip
        code, found = findings(here, folder, "--server", address)
    state, said, remedy = found["connection"]
    assert (code, state) == (1, "wrong")
    assert address in said
    expected = {
        "nobody": "the server is not running there", "no name": "DNS",
        "no coordinator": "compare the address", "no TLS": "speaks no TLS",
    }  # fmt: skip
    assert expected[kind] in remedy
    assert "registration" not in found


@pytest.mark.parametrize("allowed", [True, False])
def test_by_a_proxy(
    serve: Callable[..., Hub], join: Any, here: Here, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    """As `site run` goes: the proxy alone knows where the coordinator is."""
    hub = serve()
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pump(source: socket.socket, sink: socket.socket) -> None:
            with suppress(OSError):
                while data := source.recv(2**16):
                    sink.sendall(data)
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

        def answer() -> None:
            with suppress(OSError):  # the test has ended
                while True:
                    serve_one()

        def serve_one() -> None:
            near, _ = listener.accept()
            asked.append(near.recv(2**16).decode().splitlines()[0])
            if not allowed:
                near.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                near.close()
                return
            with near, socket.create_connection(("127.0.0.1", hub.port)) as far:
                near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=pump, args=(far, near), daemon=True)
                back.start()
                pump(near, far)
                back.join()

        threading.Thread(target=answer, daemon=True).start()
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy)
        for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        code, found = findings(here, join("hub.example.org:8443", hub.ca))
    assert asked[0] == "CONNECT hub.example.org:8443 HTTP/1.1"
    state, said, remedy = found["connection"]
    assert f"by the proxy {proxy}" in said
    if allowed:
        assert (code, state, found["registration"][0]) == (0, "ok", "ok")
    else:
        assert (code, state) == (1, "wrong")
        assert "ask for CONNECT to hub.example.org:8443 to be allowed there" in remedy


def test_a_plan_that_waits_can_be_approved_or_turned_down(
    serve: Callable[..., Hub], join: Any, here: Here
) -> None:
    hub = serve()
    folder = join(hub.address, hub.ca)
    home = SiteHome(folder / "federation")
    for count in (3, 4):
        with pytest.raises(NotApproved):
            require_approved(home, "d" * 64, RunConfig(rounds=count), folder)
    code, found = findings(here, folder)
    state, said, remedy = found["approval"]
    assert (code, state) == (0, "waiting")  # nothing of the site or its connection is wrong
    plans = re.fullmatch(r"2 waiting: (\w{12}), (\w{12})", said)
    assert plans is not None
    assert f"`fedthaw site approve {folder}`" in remedy
    code, out, _ = here("site", "test", folder)
    assert (code, out.splitlines()[-1]) == (
        0, f"Nothing is wrong; `fedthaw site run {folder}` can be started. Runs wait for the "
        "owner's approval.",
    )  # fmt: skip
    assert f"WAITS  approval      {said}" in out
    hub.knows = False
    assert findings(here, folder)[0] == 1
    hub.knows = True
    assert here("site", "approve", folder, plans[1])[0] == 0
    assert here("site", "revoke", folder, plans[2])[0] == 0
    code, found = findings(here, folder)
    assert (code, found["approval"][1]) == (0, "nothing waits; 1 approved")


def test_a_folder_that_is_not_ready(here: Here, tmp_path: Path, write_site: Any) -> None:
    code, found = findings(here, tmp_path / "nonexistent")
    assert code == 1
    assert "There is no site folder" in found["site.toml"][1]
    folder = write_site(tmp_path, "north", 2)
    code, found = findings(here, folder)
    assert code == 1
    assert "fedthaw site init" in found["key"][1]
    (folder / "labels.csv").write_text("other\n1\n")
    assert findings(here, folder)[1]["data"][0] == "wrong"


def test_a_notification_is_tried(
    serve: Callable[..., Hub], join: Any, here: Here, tmp_path: Path
) -> None:
    hub = serve()
    folder = join(hub.address, hub.ca)
    assert findings(here, folder, "--notify")[1]["notification"][0] == "wrong"
    with (folder / "site.toml").open("a") as toml:
        toml.write(f"\n[notify]\ncommand = ['sh', '-c', 'cat > {tmp_path}/notice']\n")
    code, found = findings(here, folder, "--notify")
    assert (code, found["notification"][0]) == (0, "ok")
    assert json.loads((tmp_path / "notice").read_text())["site"] == "north"
