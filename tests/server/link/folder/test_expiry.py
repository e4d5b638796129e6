"""Nobody is to learn of a certificate's end by the sites' silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.link.folder import authority
from server.link.folder.authority import create_authority
from server.link.folder.expiry import expiry_warning, key_warnings
from server.link.folder.home import Home, create_home
from server.link.folder.registry import RegisteredSite
from shared.deployment.keys import PublicKey, generate_private_key, public_key_line

Here = Callable[..., tuple[int, str, str]]


def made(folder: Path, days: int) -> Home:
    return create_home(folder / "coordinator", ["hub.example.org"], 8443, days)


def test_there_is_nothing_to_say_a_month_before(tmp_path: Path) -> None:
    assert expiry_warning(made(tmp_path, 31)) is None


def test_a_certificate_that_ends_soon_can_be_renewed(
    tmp_path: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    home = made(tmp_path, 8)
    said = expiry_warning(home)
    assert said is not None
    assert "The server's certificate expires in 7 days" in said
    assert said in " ".join(here("server", "status", "--home", home.path)[1].split())
    assert json.loads(here("server", "status", "--home", home.path, "--json")[1])["warning"] == said
    command = said.partition("fedthaw ")[2].split()
    assert here(*command)[0] == 0
    assert expiry_warning(home) is None


@pytest.mark.parametrize(("days", "said"), [(10, "expires in 9 days"), (0, "has expired")])
def test_an_authority_that_ends_cannot(tmp_path: Path, days: int, said: str) -> None:
    home = made(tmp_path, 365)
    home.ca_certificate.write_text(create_authority("hub", days)[0], encoding="ascii")
    warning = expiry_warning(home)
    assert warning is not None
    assert f"authority {said}" in warning
    assert "renew" not in warning


def test_one_that_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = made(tmp_path, 1)
    later = authority.remaining_days
    monkeypatch.setattr("server.link.folder.expiry.remaining_days", lambda pem: later(pem) - 2)
    assert "certificate has expired" in str(expiry_warning(home))


@pytest.mark.parametrize("content", [b"-----BEGIN CERTIFICATE-----\nMIIB", "für".encode("latin-1")])
def test_a_damaged_certificate_is_reported_and_made_again(
    tmp_path: Path, here: Here, content: bytes
) -> None:
    home = made(tmp_path, 365)
    home.certificate.write_bytes(content)
    warning = str(expiry_warning(home))
    assert "server.crt is damaged" in warning
    code, out, _ = here("server", "status", "--home", home.path, "--json")
    assert (code, json.loads(out)["warning"]) == (0, warning)
    assert here(*warning.partition("fedthaw ")[2].split())[0] == 0
    assert expiry_warning(home) is None


def test_a_damaged_authority_invites_nobody(tmp_path: Path, here: Here) -> None:
    home = made(tmp_path, 365)
    home.ca_certificate.write_bytes(b"\xff half")
    assert "ca.crt is damaged" in str(expiry_warning(home))
    for words in (("invite", "north"), ("renew",)):
        code, _, err = here("server", *words, "--home", home.path)
        assert code == 2
        assert "fault of fedthaw" not in err
    assert not home.invitations.exists()


def test_an_authority_that_has_ended_signs_nothing(
    tmp_path: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = made(tmp_path, 365)
    monkeypatch.setattr(authority, "CLOCK_DIFFERENCE", timedelta(days=30))
    pair = create_authority("hub", -2)
    for file, pem in zip((home.ca_certificate, home.ca_key), pair, strict=True):
        file.write_text(pem, encoding="ascii")
    monkeypatch.undo()
    code, _, err = here("server", "renew", "--home", home.path)
    assert code == 2
    assert "authority expired on" in " ".join(err.split())


NOW = datetime(2026, 6, 1, tzinfo=UTC)


def site(name: str, days: float | None) -> RegisteredSite:
    until = None if days is None else NOW + timedelta(days=days)
    return RegisteredSite(name, PublicKey("", b""), "", until)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ([30], None), ([None], None), ([2, 400], None), ([2, None], None),
        ([29.9], "The key of north expires in 29 days"), ([-3, 0.5], "The key of north expires in"),
        ([0], "The key of north has expired, and the site is not admitted:"),
        ([-9, -2], "The key of north has expired"),
    ],
)  # fmt: skip
def test_of_a_sites_keys_the_last_one_counts(days: list[float | None], said: str | None) -> None:
    warnings = key_warnings([site("east", 31), *(site("north", one) for one in days)], NOW)
    assert len(warnings) == (said is not None)
    assert all(one.startswith(said or "") for one in warnings)
    assert all("register north key.next.pub --renew" in one for one in warnings)


def test_status_and_sites_warn_of_a_key(
    tmp_path: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    home = made(tmp_path, 90)
    line = public_key_line(generate_private_key(), "north")
    place = ("--home", home.path)
    assert here("server", "register", "north", line, "--days", 8, *place)[0] == 0
    (said,) = json.loads(here("server", "status", *place, "--json")[1])["key_warnings"]
    assert "The key of north expires in 7 days" in said
    assert said in " ".join(here("server", "status", *place)[1].split())
    assert said in here("server", "sites", *place)[2]
