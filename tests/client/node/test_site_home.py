"""A site's private folder: one key for ever, private, and one coordinator."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client.node.enrolment import (
    accept_invitation,
    create_site_home,
    open_site_home,
    read_authority,
    read_server,
)
from client.node.home import SiteHome, site_home
from shared.deployment.invitation import Invitation
from shared.deployment.keys import load_private_key, public_key_line
from shared.errors import SiteError

# A certificate authority's certificate, made once with `fedthaw server init`.
CA = """-----BEGIN CERTIFICATE-----
MIIBuDCCAT6gAwIBAgIUadMYqfZ5dRhaygp6rkT/qXO6DPQwCgYIKoZIzj0EAwMw
GjEYMBYGA1UEAwwPaHViLmV4YW1wbGUub3JnMB4XDTI2MTEyMDExNTM0NloXDTM2
MTExNzEyNTM0NlowGjEYMBYGA1UEAwwPaHViLmV4YW1wbGUub3JnMHYwEAYHKoZI
zj0CAQYFK4EEACIDYgAEvTYzbNBxuJj6XtctwjZVkOeo/sDyTDwMHv5tOSaZD/Tm
2sMJ5IBO27dm0WDyMbP8itVlVlCDKNDxBsAwXngHi7U12x+X5oh+ZBt0FaEOp6Pn
AvdDgCUJYd+q+7MHdPiio0UwQzAdBgNVHQ4EFgQULxeTqhl6J9lrLL+u/Ta0qR34
bG8wEgYDVR0TAQH/BAgwBgEB/wIBADAOBgNVHQ8BAf8EBAMCAQYwCgYIKoZIzj0E
AwMDaAAwZQIwVsyMo1zOMyqavjtUzfB/PAZyqVpyqXxBQkZBg86g8ksjaBqhern2
TyPWfk/jm3CMAjEAqcV0YwWX6qKKHI5OsMvuCc0PJ79lM6l1RDn6LwT59ZCWV1Dg
umCwdiGzDAoTdcqq
-----END CERTIFICATE-----
"""


@pytest.fixture(autouse=True)
def _open_umask(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("FEDTHAW_SITE_HOME", raising=False)
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def home(tmp_path: Path) -> SiteHome:
    made = site_home(tmp_path / "north")
    assert create_site_home(made, "north")
    return made


@pytest.fixture
def joined(home: SiteHome) -> SiteHome:
    accept_invitation(home, Invitation("north", "hub.example.org:8443", CA))
    return home


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert site_home(tmp_path).path == tmp_path / "federation"
    monkeypatch.chdir(tmp_path)
    assert site_home(Path("north")).path == tmp_path / "north" / "federation"
    monkeypatch.setenv("FEDTHAW_SITE_HOME", "elsewhere")
    assert site_home(tmp_path / "north").path == tmp_path / "elsewhere"


def test_everything_is_private(joined: SiteHome) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in joined.path.iterdir()}
    assert {"key", "key.pub", "ca.crt", "federation.json"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(joined.path.stat().st_mode) == 0o700


def test_the_public_key_is_that_of_the_private_one(home: SiteHome) -> None:
    line = home.public_key.read_text(encoding="utf-8")
    assert line == public_key_line(load_private_key(home.key), "north") + "\n"


def test_a_key_is_never_replaced(home: SiteHome) -> None:
    key, line = home.key.read_bytes(), home.public_key.read_bytes()
    home.public_key.unlink()
    assert not create_site_home(home, "north")
    assert (home.key.read_bytes(), home.public_key.read_bytes()) == (key, line)
    home.key.write_bytes(b"damaged")
    with pytest.raises(SiteError, match="not a private key that"):
        create_site_home(home, "north")
    assert home.key.read_bytes() == b"damaged"


def test_two_commands_at_once_make_one_key(tmp_path: Path) -> None:
    home = site_home(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: create_site_home(home, "north"), range(4)))
    assert sorted(made) == [False, False, False, True]
    line = public_key_line(load_private_key(home.key), "north")
    assert home.public_key.read_text(encoding="utf-8") == f"{line}\n"


def test_no_key_is_made_in_a_folder_that_others_can_enter(tmp_path: Path) -> None:
    home = site_home(tmp_path)
    home.path.mkdir(mode=0o755)
    with pytest.raises(SiteError, match=f"chmod 700 {home.path}"):
        create_site_home(home, "north")
    assert list(home.path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SiteError, match=r"cannot be made \(Not a directory\).*FEDTHAW_SITE_HOME"):
        create_site_home(site_home(tmp_path / "file"), "north")


def test_an_invitation_is_kept_and_replaces_another(joined: SiteHome) -> None:
    assert open_site_home(joined) == joined
    assert (read_server(joined), read_authority(joined)) == ("hub.example.org:8443", CA)
    key = joined.key.read_bytes()
    accept_invitation(joined, Invitation("north", "[::1]:1", CA))
    assert (read_server(joined), joined.key.read_bytes()) == ("[::1]:1", key)


def test_what_is_missing_names_the_command(tmp_path: Path, home: SiteHome) -> None:
    with pytest.raises(SiteError, match=r"no folder .*`fedthaw site init"):
        open_site_home(SiteHome(tmp_path / "other"))
    with pytest.raises(SiteError, match="knows no coordinator yet; `fedthaw site init"):
        open_site_home(home)
    assert open_site_home(home, joined=False) == home
    home.key.unlink()
    with pytest.raises(SiteError, match=r"no private key .*`fedthaw site init`"):
        open_site_home(home, joined=False)


@pytest.mark.parametrize(("file", "bits"), [("", 0o750), ("key", 0o640)])
def test_what_others_could_use(joined: SiteHome, file: str, bits: int) -> None:
    (joined.path / file).chmod(bits)
    with pytest.raises(SiteError, match=rf"chmod \d+ {joined.path / file}$"):
        open_site_home(joined)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("federation.json", ""),
        ("federation.json", "[]"),
        ("federation.json", '{"server": 7}'),
        ("federation.json", '{"server": "hub"}'),
        ("federation.json", '{"server": "hub:1", "insecure": true}'),
        ("ca.crt", ""),
        ("ca.crt", CA[:100]),
    ],
)
def test_what_is_damaged(joined: SiteHome, file: str, text: str) -> None:
    (joined.path / file).write_text(text, encoding="utf-8")
    with pytest.raises(SiteError, match=f"{joined.path / file} is damaged; `fedthaw site init"):
        open_site_home(joined)


def test_another_users_folder_is_left_alone(
    joined: SiteHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What root writes into it would be closed to the site."""
    before = {path: path.read_bytes() for path in joined.path.iterdir()}
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    for use in (lambda: open_site_home(joined), lambda: create_site_home(joined, "north")):
        with pytest.raises(SiteError, match=rf"{joined.path} belongs to .*: sudo -u "):
            use()
    assert {path: path.read_bytes() for path in joined.path.iterdir()} == before
