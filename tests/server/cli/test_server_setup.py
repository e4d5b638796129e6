"""`fedthaw server init` to `renew`, as a coordinator types them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.link.folder.authority import names_of
from shared.audit.log import read
from shared.deployment.keys import (
    certificate_fingerprint,
    fingerprint,
    generate_private_key,
    private_key_bytes,
    public_key_line,
)

Here = Callable[..., tuple[int, str, str]]
LINE = public_key_line(generate_private_key(), "north")
HEX_PAIRS = r"([0-9A-F]{2}:){31}[0-9A-F]{2}"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEDTHAW_COORDINATOR", raising=False)


@pytest.fixture
def home(tmp_path: Path, here: Here) -> Path:
    assert here("server", "init", "--name", "hub.example.org", "--name", "10.0.0.7")[0] == 0
    return tmp_path / "coordinator"


def test_init_says_what_it_made_and_what_comes_next(here: Here, tmp_path: Path) -> None:
    code, out, err = here("server", "init", "hub", "--name", "::1", "--port", 9000, "--days", 7)
    assert (code, err) == (0, "")
    assert str(tmp_path / "hub") in out
    assert "[::1]:9000" in out
    assert "valid for 7 days" in out
    authority = (tmp_path / "hub" / "ca.crt").read_text(encoding="ascii")
    assert f"Authority: {certificate_fingerprint(authority)}\n" in out
    assert out.splitlines()[-1] == "Next: fedthaw server invite SITE --home hub"


def test_init_never_makes_a_folder_over(here: Here, home: Path) -> None:
    key = (home / "ca.key").read_bytes()
    code, out, err = here("server", "init", "--name", "other")
    assert (code, out) == (2, "")
    assert "is a coordinator's folder already" in err
    assert (home / "ca.key").read_bytes() == key


def test_init_refuses_a_name_with_a_port(here: Here, tmp_path: Path) -> None:
    code, _, err = here("server", "init", "--name", "hub:8443")
    assert code == 2
    assert "'hub:8443' is neither a host name" in err
    assert list(tmp_path.iterdir()) == []


def test_invite(here: Here, home: Path) -> None:
    code, out, _ = here("server", "invite", "north")
    file = home / "invitations" / "north.json"
    assert code == 0
    assert str(file) in out
    assert json.loads(file.read_text(encoding="utf-8"))["server"] == "hub.example.org:8443"
    assert re.search(rf"by telephone: {HEX_PAIRS}\n", out)
    assert "fedthaw site init FOLDER --invitation north.json" in out
    assert "PRIVATE" not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("given", ["line", "file", "file under the home folder"])
def test_register_takes_a_line_or_a_file(
    here: Here, home: Path, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home.parent / "key.pub"
    file.write_text(f"{LINE}\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(home.parent))
    key = {"line": LINE, "file": "key.pub"}.get(given, "~/key.pub")
    code, out, _ = here("server", "register", "north", key, "--home", home)
    assert (code, out.splitlines()[-1]) == (0, fingerprint(LINE))
    assert [site["name"] for site in json.loads(here("server", "sites", "--json")[1])] == ["north"]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("absent.pub", "absent.pub cannot be read"),
        ("coordinator", "coordinator cannot be read"),
        ("ssh-ed25519 AAAA", "of type 'ssh-ed25519'"),
        ("key", "PRIVATE key, which must never"),
        (LINE[:50], "damaged"),
        ("x" * 5000, "cannot be read"),
        ("bytes", "is not a public key"),
    ],
)
def test_register_refuses_what_is_no_key(here: Here, home: Path, key: str, said: str) -> None:
    (home.parent / "bytes").write_bytes(b"\xff\x00")
    (home.parent / "key").write_bytes(private_key_bytes(generate_private_key()))
    code, out, err = here("server", "register", "north", key)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert json.loads(here("server", "sites", "--json")[1]) == []


@pytest.mark.usefixtures("home")
def test_the_table_of_sites(here: Here) -> None:
    assert "No site is registered yet" in here("server", "sites")[1]
    here("server", "register", "a-rather-long-name", LINE.removesuffix(" north"))
    head, row = here("server", "sites")[1].splitlines()
    assert head.split() == ["site", "fingerprint", "since", "until"]
    name, key, since, until = row.split()
    assert (name, key) == ("a-rather-long-name", fingerprint(LINE))
    assert head.index("fingerprint") == row.index(key)
    assert head.index("since") == row.index(since)
    (site,) = json.loads(here("server", "sites", "--json")[1])
    end = datetime.fromisoformat(site.pop("until"))
    assert f"{end:%Y-%m-%d}" == until
    assert abs(end - datetime.fromisoformat(since) - timedelta(days=730)) < timedelta(minutes=5)
    assert site == {
        "name": name, "fingerprint": key, "since": since, "key": LINE.removesuffix(" north"),
    }  # fmt: skip


def test_a_new_key_beside_the_old_one(here: Here, home: Path) -> None:
    new = public_key_line(generate_private_key(), "north")
    assert here("server", "register", "north", LINE)[0] == 0
    code, _, err = here("server", "register", "north", new)
    assert code == 2
    assert "add --renew" in err
    code, out, _ = here("server", "register", "north", new, "--renew", "--overlap-days", 10)
    assert (code, out.splitlines()[-1]) == (0, fingerprint(new))
    day = f"{datetime.now(UTC) + timedelta(days=10):%Y-%m-%d}"
    assert f"Its old key {fingerprint(LINE)} is valid until {day}." in out
    rows = here("server", "sites")[1].splitlines()[1:]
    assert [row.split()[:2] for row in rows] == [
        ["north", fingerprint(LINE)], ["north", fingerprint(new)],
    ]  # fmt: skip
    assert rows[0].split()[-1] == day
    last = list(read(home / "audit.jsonl"))[-1]
    assert (last["event"], last["key"]) == ("site key renewed", fingerprint(new))
    assert last["old"] == f"{fingerprint(LINE)} until {day}"
    assert set(json.loads(here("server", "status", "--json")[1])["sites"]) == {"north"}


@pytest.mark.usefixtures("home")
def test_what_register_refuses_of_end_dates(here: Here) -> None:
    for words in (
        ("--days", 0), ("--days", 3651), ("--days", "x"), ("--overlap-days", 5),
        ("--renew", "--overlap-days", -1), ("--renew",),
    ):  # fmt: skip
        assert here("server", "register", "north", LINE, *words)[0] == 2, words
    assert json.loads(here("server", "sites", "--json")[1]) == []


def test_a_key_without_an_end_date(here: Here, home: Path) -> None:
    """As every key of an earlier version."""
    entry = {"name": "north", "key": LINE.removesuffix(" north"), "since": "2026-01-01T00:00:00"}
    (home / "sites.json").write_text(json.dumps([entry]), encoding="utf-8")
    assert here("server", "sites")[1].splitlines()[1].endswith("no end date")
    assert json.loads(here("server", "sites", "--json")[1])[0]["until"] is None


@pytest.mark.usefixtures("home")
def test_remove(here: Here) -> None:
    here("server", "register", "north", LINE)
    code, _, err = here("server", "remove", "nort")
    assert code == 2
    assert "did you mean north?" in err
    assert here("server", "remove", "north")[0] == 0
    assert json.loads(here("server", "sites", "--json")[1]) == []


def test_renew_keeps_names_and_authority(here: Here, home: Path) -> None:
    certificate, authority = home / "server.crt", (home / "ca.crt").read_bytes()
    before = certificate.read_text(encoding="ascii")
    code, out, _ = here("server", "renew", "--days", 9)
    after = certificate.read_text(encoding="ascii")
    assert code == 0
    assert "valid for 9 days" in out
    assert "new invitation" not in out
    assert before != after
    assert names_of(before) == names_of(after)
    assert (home / "ca.crt").read_bytes() == authority
    _, out, _ = here("server", "renew", "--name", "hub.example.net", "--name", "10.0.0.7")
    assert "Sites that reach it as hub.example.org need a new invitation" in out
    assert names_of(certificate.read_text(encoding="ascii"))[:2] == ("hub.example.net", "10.0.0.7")
    here("server", "invite", "north")
    text = (home / "invitations" / "north.json").read_text(encoding="utf-8")
    assert json.loads(text)["server"] == "hub.example.net:8443"


def test_this_machines_own_names_are_in_every_certificate(here: Here, tmp_path: Path) -> None:
    """A federation that was tried out on one machine goes on there under a name for others."""
    own = ("localhost", "127.0.0.1", "::1")
    first = ("--name", "localhost", "--name", "127.0.0.1", "--name", "old.example.org")
    assert here("server", "init", *first)[0] == 0
    _, out, _ = here("server", "renew", "--name", "hub.example.org")
    certificate = (tmp_path / "coordinator" / "server.crt").read_text(encoding="ascii")
    assert names_of(certificate) == ("hub.example.org", *own)
    assert "Sites that reach it as old.example.org need a new invitation" in out


@pytest.mark.parametrize(
    "words",
    [("invite", "north"), ("register", "north", LINE), ("remove", "x"), ("sites",), ("renew",)],
    ids=lambda words: words[0],
)
def test_without_a_coordinators_folder(
    here: Here, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FEDTHAW_COORDINATOR", "elsewhere")
    code, out, err = here("server", *words)
    assert (code, out) == (2, "")
    assert "fedthaw server init elsewhere --name HOST" in err
    assert list(tmp_path.iterdir()) == []
