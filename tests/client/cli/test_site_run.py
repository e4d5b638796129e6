"""`fedthaw site run` up to the connection, and `fedthaw site log`."""

from __future__ import annotations

import importlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.node import loop
from client.node.home import site_home
from shared.audit.log import append
from shared.deployment.keys import load_private_key, private_key_bytes
from shared.storage.files import write_private

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would be connected to: address and authority."""
    calls: list[Any] = []
    module = importlib.import_module("client.cli.run")  # the package calls a function by its name
    monkeypatch.setattr(
        loop, "run_site",
        lambda folder, home, access, *_: calls.append((access.server, access.authority)),
    )  # fmt: skip
    monkeypatch.setattr(module, "log_to_terminal", lambda name: None)
    monkeypatch.setattr(module, "keep_freed_memory", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda kind, handler: None)
    return calls


@pytest.fixture
def site(
    tmp_path: Path, write_site: Callable[..., Path], here: Here, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("FEDTHAW_COORDINATOR", "FEDTHAW_SITE_HOME", "FEDTHAW_SITE_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    folder = write_site(tmp_path, "north", 2)
    assert here("server", "init", "--name", "hub")[0] == 0
    assert here("server", "invite", "north")[0] == 0
    invitation = tmp_path / "coordinator" / "invitations" / "north.json"
    assert here("site", "init", folder, "--invitation", invitation)[0] == 0
    return folder


def test_the_invitations_coordinator_is_asked(here: Here, site: Path, started: list[Any]) -> None:
    assert here("site", "run", site)[0] == 0
    other = site.parent / "coordinator" / "ca.crt"
    assert here("site", "run", site, "--server", "Other:9", "--ca", other)[0] == 0
    assert here("site", "run", site, "--server", "127.0.0.1:9", "--insecure")[0] == 0
    assert started == [
        ("hub:8443", site_home(site).authority), ("other:9", other), ("127.0.0.1:9", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--insecure",), "not for hub:8443"),
        (("--insecure", "--server", "10.0.0.7:1"), "not for 10.0.0.7:1"),
        (("--server", "hub"), "'hub' is not the address"),
        (("--ca", "absent.crt"), "There is no absent.crt"),
    ],
)
def test_nothing_is_connected_to_that_should_not_be(
    here: Here, site: Path, started: list[Any], words: tuple[str, ...], said: str
) -> None:
    code, _, err = here("site", "run", site, *words)
    assert code == 2
    assert said in err
    assert started == []


def test_what_is_wrong_is_said_before_a_run_begins(
    here: Here, site: Path, started: list[Any]
) -> None:
    home = site_home(site)
    home.key.chmod(0o644)
    assert here("site", "run", site)[0] == 2
    home.key.chmod(0o600)
    (site / "site.toml").write_text("[site]\n", encoding="utf-8")
    assert here("site", "run", site)[0] == 2
    assert started == []


ENTRY = {
    "to": "hub:8443", "run": 7, "bundle": "d" * 64, "type": "train", "round": "3", "bytes": 1234567,
    "content": {
        "delta": {"fc.weight": "float32 1x2048", "layer4.0.conv1.weight": "float32 2x2"},
        "report": {"site": "north"},
        "metrics": {"images": 12, "positives": [1, 2], "negatives": [3, 4]},
    },
}  # fmt: skip


def test_the_log_tells_what_has_left(here: Here, site: Path) -> None:
    code, out, err = here("site", "log", site)
    assert (code, out) == (0, "")
    assert "Nothing has left this site yet." in err
    audit = site_home(site).audit
    error = {"content": {"error": {"code": 1, "reason": "it failed"}}, "type": "evaluate"}
    for entry in (ENTRY, ENTRY | error):
        append(audit, entry)
    out = here("site", "log", site)[1]
    for text in ("hub:8443", "1,234,567", "2 of fc, layer4", "it failed",
                 "histogram of 3 positive and 7 negative patients"):  # fmt: skip
        assert text in out
    lines = here("site", "log", site, "--json", "--last", 1)[1].splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["evaluate"]


def test_what_the_coordinator_has_named_is_shown_as_it_is(here: Here, site: Path) -> None:
    """It names rounds and messages; neither markup nor a command to the owner's terminal."""
    named = {"round": "[bold]3[/bold]", "type": "\x1b[2Jtrain\nx", "to": "[/nothing]"}
    append(site_home(site).audit, ENTRY | named)
    code, out, _ = here("site", "log", site)
    assert code == 0
    for text in ("[bold]3[/bold]", " [2Jtrain x", "[/nothing]"):
        assert text in out
    assert "\x1b" not in out
    append(site_home(site).audit, ENTRY | {"round": "Q" * 5000})
    assert here("site", "log", site)[1].count("Q") == 200


@pytest.mark.usefixtures("started")
def test_a_coordinator_on_this_machine_is_asked_without_a_proxy(
    here: Here, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "example.org")
    monkeypatch.setenv("no_proxy", "example.org")
    assert here("site", "run", site)[0] == 0
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "example.org"
    assert here("site", "run", site, "--server", "127.0.0.1:9", "--insecure")[0] == 0
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "example.org,127.0.0.1"


def test_a_key_with_a_passphrase_starts_only_with_it(
    here: Here, site: Path, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, secret, other = site_home(site), site / "secret", site / "other"
    for file, text in ((secret, "correct horse battery"), (other, "quite another one")):
        file.write_text(f"{text}\n", encoding="utf-8")
        file.chmod(0o600)
    write_private(home.key, private_key_bytes(load_private_key(home.key), b"correct horse battery"))
    for words, said in (
        ((), "needs a passphrase; give a file with it by --passphrase-file"),
        (("--passphrase-file", other), "does not open"),
        (("--passphrase-file", site / "absent"), "cannot be read"),
    ):
        code, _, err = here("site", "run", site, *words)
        assert code == 2
        assert said in err
    assert started == []
    assert here("site", "run", site, "--passphrase-file", secret)[0] == 0
    monkeypatch.setenv("FEDTHAW_SITE_PASSPHRASE_FILE", str(secret))
    assert here("site", "run", site)[0] == 0
    assert len(started) == 2
