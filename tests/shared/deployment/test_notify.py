"""Telling of events: real commands and a real web server, and that neither can hold anybody up."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.deployment.notify import Notify, parse_notify, tell, tell_in_background
from shared.errors import ConfigError

FACTS = {
    "run": "first",
    "state": "failed",
    "reason": "1 of at least 2 sites\nis there",
    "at": "now",
}
FAILED = frozenset({"failed"})
LOG = logging.getLogger("fedthaw.server")


def of(**table: object) -> Notify:
    return parse_notify(table, "notify.toml", ["failed"], ["failed", "stopped"])


@pytest.fixture
def hook() -> Iterator[Callable[..., tuple[str, list[Any]]]]:
    """A web server on the loopback: its address, and what it was sent."""
    servers: list[HTTPServer] = []

    def make(status: int = 204) -> tuple[str, list[Any]]:
        got: list[Any] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/secret", got

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_command_has_the_facts_in_its_environment_and_as_json(tmp_path: Path) -> None:
    script = (
        "import json, os, sys; own = {k: v for k, v in os.environ.items() if 'FEDTHAW_R' in k}; "
        "open(sys.argv[1], 'w').write(json.dumps([own, json.load(sys.stdin)]))"
    )
    seen = tmp_path / "seen of it"
    assert tell(of(command=[sys.executable, "-c", script, str(seen)]), "failed", FACTS) == []
    variables, document = json.loads(seen.read_text())
    assert document == {"event": "failed", **FACTS}
    assert variables["FEDTHAW_RUN"] == "first"
    # A mail's subject has one line.
    assert variables["FEDTHAW_REASON"] == "1 of at least 2 sites is there"


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    assert of(command="mail -s 'a run failed' ops").command == ("mail", "-s", "a run failed", "ops")
    assert tell(of(command=f"/bin/echo $(touch {tmp_path}/made)"), "failed", FACTS) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/no/such/program"], "cannot be started (No such file or directory)"),
        (["sh", "-c", "echo no mail server >&2; exit 3"], "failed (exit code 3): no mail server"),
        (["sh", "-c", "exec 0<&-; exit 1"], "failed (exit code 1)."),
    ],
)
def test_a_command_that_fails_is_said(command: list[str], said: str) -> None:
    (sentence,) = tell(of(command=command), "failed", FACTS)
    assert said in sentence


def test_a_command_has_a_limited_time_and_what_it_started_too(tmp_path: Path) -> None:
    made = tmp_path / "made"
    command = ["sh", "-c", f"(sleep 2; touch {made}) & sleep 60"]
    begun = time.monotonic()
    assert tell(of(command=command, seconds=0.3), "failed", FACTS) == [
        "The notification command sh was ended after 0.3 s."
    ]
    assert time.monotonic() - begun < 30
    time.sleep(2.2)
    assert not made.exists()


def test_a_webhook_gets_json(hook: Callable[..., tuple[str, list[Any]]]) -> None:
    address, got = hook()
    assert tell(of(webhook=address), "failed", FACTS) == []
    assert got == [{"event": "failed", **FACTS}]


def test_a_webhook_that_fails_is_said_without_its_secret(
    hook: Callable[..., tuple[str, list[Any]]], free_port: Callable[[], int]
) -> None:
    address, _ = hook(500)
    assert tell(of(webhook=address), "failed", FACTS) == ["The webhook at 127.0.0.1 answered 500."]
    nobody = f"http://127.0.0.1:{free_port()}/secret"
    (sentence,) = tell(of(webhook=nobody), "failed", FACTS)
    assert "The webhook at 127.0.0.1 was not reached" in sentence
    assert "secret" not in sentence


def test_nobody_waits_for_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    begun = time.monotonic()
    command = ["sh", "-c", f"sleep 0.5; touch {tmp_path}/done; exit 4"]
    thread = tell_in_background(of(command=command), "failed", FACTS, LOG)
    assert time.monotonic() - begun < 0.4
    assert thread is not None
    thread.join(60)
    assert (tmp_path / "done").exists()
    assert "failed (exit code 4)" in caplog.text


def test_only_what_is_wanted_is_told() -> None:
    assert tell_in_background(of(command="false"), "stopped", FACTS, LOG) is None
    assert tell_in_background(Notify(on=FAILED), "failed", FACTS, LOG) is None
    assert of(command="false", on=["stopped"]).wants("stopped")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"comand": "x"}, "comand"),
        ({"command": 3}, "command"),
        ({"command": "mail 'x"}, "close its quotes"),
        ({"command": " "}, "names no program"),
        ({"webhook": "ftp://x"}, "not an http or https address"),
        ({"webhook": "https://"}, "not an http or https address"),
        ({"webhook": "http://x:99999/"}, "not an http or https address"),
        ({"on": ["fails"]}, "on names 'fails'; it may name failed, stopped"),
        ({"on": "failed"}, "on"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": 3600}, "seconds"),
        ([], "it may have command"),
    ],
)
def test_what_cannot_be_used_is_refused(table: object, said: str) -> None:
    with pytest.raises(ConfigError, match=r"^notify\.toml: ") as caught:
        parse_notify(table, "notify.toml", ["failed"], ["failed", "stopped"])
    assert said in str(caught.value)
