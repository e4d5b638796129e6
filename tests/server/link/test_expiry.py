"""Nobody is to learn of a certificate's end by the sites' silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from server.link import authority
from server.link.authority import create_authority
from server.link.expiry import expiry_warning
from server.link.home import Home, create_home

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
    assert "The server's certificate ends in 7 days" in said
    assert said in " ".join(here("server", "status", "--home", home.path)[1].split())
    assert json.loads(here("server", "status", "--home", home.path, "--json")[1])["warning"] == said
    command = said.partition("fedthaw ")[2].split()
    assert here(*command)[0] == 0
    assert expiry_warning(home) is None


@pytest.mark.parametrize(("days", "said"), [(10, "ends in 9 days"), (0, "has ended")])
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
    monkeypatch.setattr("server.link.expiry.remaining_days", lambda pem: later(pem) - 2)
    assert "certificate has ended" in str(expiry_warning(home))
