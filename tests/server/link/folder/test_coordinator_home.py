"""The coordinator's folder: complete, private, and never made over."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.link.folder.authority import names_of, remaining_days
from server.link.folder.home import (
    Home,
    ServerSettings,
    create_home,
    open_home,
    read_settings,
    renew_certificate,
    write_invitation,
)
from shared.deployment.invitation import parse_invitation
from shared.errors import ConfigError


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return create_home(tmp_path / "coordinator", ["Hub.example.org", "10.0.0.7"], 8443, 30)


def contents(home: Home) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.path.iterdir() if path.is_file()}


def test_everything_is_private(home: Home) -> None:
    write_invitation(home, "north")
    paths = [home.path, *home.path.rglob("*")]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths}
    assert {name for name, mode in modes.items() if mode == 0o700} == {"coordinator", "invitations"}
    assert {name for name, mode in modes.items() if mode == 0o600} == {
        "ca.crt", "ca.key", "server.crt", "server.key", "server.json", "north.json",
    }  # fmt: skip
    assert len(modes) == 8


def test_what_was_made_is_read_back(home: Home) -> None:
    assert open_home(home.path) == home
    settings = read_settings(home)
    assert settings == ServerSettings(("hub.example.org", "10.0.0.7"), 8443)
    assert settings.address == "hub.example.org:8443"
    certificate = home.certificate.read_text(encoding="ascii")
    assert names_of(certificate)[:2] == settings.names
    assert remaining_days(certificate) == pytest.approx(30, abs=0.1)


def test_an_invitation_tells_the_first_name_and_the_authority(home: Home) -> None:
    invitation = parse_invitation(write_invitation(home, "north").read_text(encoding="utf-8"))
    assert (invitation.site, invitation.server) == ("north", "hub.example.org:8443")
    assert invitation.ca == home.ca_certificate.read_text(encoding="ascii")
    with pytest.raises(ConfigError, match=r"'\.\./x' is not allowed"):
        write_invitation(home, "../x")


def test_a_coordinators_folder_is_never_made_over(home: Home) -> None:
    before = contents(home)
    with pytest.raises(ConfigError, match=r"a coordinator's folder already.*renew"):
        create_home(home.path, ["other"], 1, 1)
    home.settings.unlink()
    with pytest.raises(ConfigError, match="not empty"):
        create_home(home.path, ["other"], 1, 1)
    assert contents(home) == {name: data for name, data in before.items() if name != "server.json"}


def test_an_empty_folder_becomes_one(tmp_path: Path) -> None:
    """As a mounted volume is."""
    (tmp_path / "volume").mkdir(mode=0o755)
    home = create_home(tmp_path / "volume", ["::1"], 1, 1)
    assert open_home(tmp_path / "volume") == home
    assert read_settings(home).address == "[::1]:1"


@pytest.mark.parametrize(("names", "port"), [([], 1), (["a b"], 1), (["a"], 0), (["a"], 65536)])
def test_nothing_is_made_for_bad_settings(tmp_path: Path, names: list[str], port: int) -> None:
    with pytest.raises(ConfigError):
        create_home(tmp_path / "coordinator", names, port, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "file", ["", "server.json", "ca.crt", "ca.key", "server.crt", "server.key"]
)
def test_what_is_no_coordinators_folder(home: Home, file: str) -> None:
    (home.path / file).rename(home.path.parent / "away")
    with pytest.raises(ConfigError, match=f"fedthaw server init {home.path} --name HOST"):
        open_home(home.path)


@pytest.mark.parametrize(("file", "bits"), [("", 0o710), ("ca.key", 0o640), ("server.key", 0o604)])
def test_a_folder_that_others_can_enter(home: Home, file: str, bits: int) -> None:
    path = home.path / file
    path.chmod(bits)
    with pytest.raises(ConfigError, match=rf"open to others .* chmod (700|600) {path}$") as caught:
        open_home(home.path)
    os.chmod(path, int(str(caught.value).split()[-2], 8))
    assert open_home(home.path) == home


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "7", '{"names": ["a"]}', '{"names": "abc", "port": 1}',
        '{"names": ["a"], "port": "1"}', '{"names": ["a"], "port": true}',
        '{"names": ["a"], "port": 1, "x": 2}', '{"names": [], "port": 1}',
        '{"names": [7], "port": 1}', '{"names": ["a b"], "port": 1}',
    ],
)  # fmt: skip
def test_damaged_settings(home: Home, text: str) -> None:
    home.settings.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"server\.json is damaged"):
        read_settings(home)


def test_a_renewed_certificate_is_of_the_same_authority(home: Home) -> None:
    before = contents(home)
    renew_certificate(home, ServerSettings(("hub.example.net",), 8443), 90)
    after = contents(home)
    kept = {name for name in before if before[name] == after[name]}
    assert kept == {"ca.crt", "ca.key"}
    certificate = home.certificate.read_text(encoding="ascii")
    assert remaining_days(certificate) == pytest.approx(90, abs=0.1)
    assert names_of(certificate)[0] == "hub.example.net"
    assert read_settings(home).names == ("hub.example.net",)


def test_another_users_folder_is_left_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What root writes into it would be closed to the server."""
    before = contents(home)
    empty = home.path.parent / "empty"
    empty.mkdir()
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(ConfigError, match=rf"{home.path} belongs to .*: sudo -u "):
        open_home(home.path)
    with pytest.raises(ConfigError, match=rf"{empty} belongs to .*: sudo -u "):
        create_home(empty, ["hub"], 1, 1)
    assert contents(home) == before
    assert list(empty.iterdir()) == []
