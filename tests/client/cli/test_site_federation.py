"""`fedthaw site init`, `key`, `approve` and `revoke`, as a site's owner types them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from client.node.approvals import read_approvals
from client.node.home import open_site_home, read_authority, read_server, site_home
from shared.deployment.keys import certificate_fingerprint, fingerprint

Here = Callable[..., tuple[int, str, str]]
OWN, OTHER = "a" * 64, "b" * 64


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("FEDTHAW_COORDINATOR", "FEDTHAW_SITE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _own_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed code has a known digest."""
    bundle = ModuleType("shared.bundle")
    bundle.build_bundle = lambda: SimpleNamespace(digest=OWN)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shared.bundle", bundle)


@pytest.fixture
def site(tmp_path: Path, write_site: Callable[..., Path]) -> Path:
    return write_site(tmp_path, "north", 2)


@pytest.fixture
def invitation(tmp_path: Path, here: Here) -> Path:
    here("server", "init", "--name", "hub.example.org")
    assert here("server", "invite", "north")[0] == 0
    return tmp_path / "coordinator" / "invitations" / "north.json"


def test_an_invited_site_joins_and_is_registered(here: Here, site: Path, invitation: Path) -> None:
    code, out, err = here("site", "init", site, "--invitation", invitation)
    home = open_site_home(site_home(site))
    line = home.public_key.read_text(encoding="utf-8")
    ca = (invitation.parents[1] / "ca.crt").read_text(encoding="ascii")
    assert (code, err) == (0, "")
    assert (read_server(home), read_authority(home)) == ("hub.example.org:8443", ca)
    for shown in (str(home.public_key), fingerprint(line), certificate_fingerprint(ca)):
        assert shown in out
    assert "PRIVATE" not in out
    assert here("server", "register", "north", home.public_key)[1].splitlines()[-1] == fingerprint(
        line
    )


def test_init_again_keeps_the_key(here: Here, site: Path, invitation: Path) -> None:
    code, out, _ = here("site", "init", site)
    assert code == 0
    assert "Made a private key" in out
    assert f"fedthaw site init {site} --invitation FILE" in out
    key = site_home(site).key.read_bytes()
    code, out, _ = here("site", "init", site, "--invitation", invitation)
    assert code == 0
    assert "Kept the private key that was there" in out
    assert site_home(site).key.read_bytes() == key


def test_without_an_invitation_an_address_and_an_authority_will_do(
    here: Here, site: Path, invitation: Path
) -> None:
    ca = invitation.parents[1] / "ca.crt"
    code, _, _ = here("site", "init", site, "--server", "Hub.example.org:1", "--ca", ca)
    assert (code, read_server(site_home(site))) == (0, "hub.example.org:1")
    assert read_authority(site_home(site)) == ca.read_text(encoding="ascii")


def test_a_folder_without_site_toml_stays_as_it_is(
    here: Here, tmp_path: Path, invitation: Path
) -> None:
    (tmp_path / "empty").mkdir()
    code, out, err = here("site", "init", "empty", "--invitation", invitation)
    assert (code, out) == (2, "")
    assert "site.toml is missing" in err
    assert list((tmp_path / "empty").iterdir()) == []
    assert here("site", "init", "absent")[0] == 2


def test_an_invitation_for_another_site(
    here: Here, tmp_path: Path, write_site: Callable[..., Path], invitation: Path
) -> None:
    east = write_site(tmp_path, "east", 2)
    code, out, err = here("site", "init", east, "--invitation", invitation)
    assert (code, out) == (2, "")
    assert "for the site north" in err
    assert "one east" in err
    assert not site_home(east).path.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--server", "hub:1"), "--ca ca.crt together"),
        (("--ca", "coordinator/ca.crt"), "--server HOST:PORT"),
        (("--server", "hub", "--ca", "coordinator/ca.crt"), "'hub' is no address"),
        (("--server", "hub:1", "--ca", "coordinator/server.crt"), "not the certificate of one"),
        (("--server", "hub:1", "--ca", "coordinator/ca.key"), "PRIVATE key"),
        (("--invitation", "coordinator/ca.crt"), "no invitation"),
        (("--invitation", "absent.json"), "absent.json cannot be read"),
        (("--invitation", "bytes"), "bytes is no text"),
        (("--invitation", "coordinator/invitations/north.json", "--server", "h:1"), "not both"),
    ],
)
@pytest.mark.usefixtures("invitation")
def test_options_that_will_not_do(
    here: Here, site: Path, options: tuple[str, ...], said: str
) -> None:
    Path("bytes").write_bytes(b"\xff")
    code, out, err = here("site", "init", site, *options)
    assert (code, out) == (2, "")
    assert said in err
    assert not site_home(site).path.exists()


def test_the_key_is_printed(here: Here, site: Path) -> None:
    code, _, err = here("site", "key", site)
    assert code == 2
    assert "fedthaw site init" in err
    here("site", "init", site)
    line = site_home(site).public_key.read_text(encoding="utf-8").strip()
    assert here("site", "key", site)[1].splitlines() == [line, fingerprint(line)]


def test_approving_says_whose_code_it_is(here: Here, site: Path) -> None:
    here("site", "init", site)
    code, out, _ = here("site", "approve", site, OTHER.upper(), "--note", "seen")
    assert code == 0
    assert f"Approved {OTHER}" in out
    assert f"NOT the code of the fedthaw installed here, which is {OWN}" in out
    for words in ((OWN,), ("--installed",)):
        _, out, _ = here("site", "approve", site, *words)
        assert "It is the code of the fedthaw installed here." in out
    assert "Was approved already" in out
    assert read_approvals(site_home(site)) == {OWN, OTHER}
    assert here("site", "revoke", site, OTHER)[:2] == (
        0, f"Revoked {OTHER}; it runs here no longer.\n",
    )  # fmt: skip
    assert read_approvals(site_home(site)) == {OWN}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("approve",), "either HASH or --installed"),
        (("approve", OWN, "--installed"), "either HASH or --installed"),
        (("approve", OWN[1:]), "64 hexadecimal digits"),
        (("revoke", OWN), "is not approved here"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_approved(here: Here, site: Path, words: tuple[str, ...], said: str) -> None:
    here("site", "init", site)
    code, out, err = here("site", words[0], site, *words[1:])
    assert (code, out) == (2, "")
    assert said in err
    assert read_approvals(site_home(site)) == frozenset()


def test_a_site_without_a_key_approves_nothing(here: Here, site: Path) -> None:
    code, _, err = here("site", "approve", site, OWN)
    assert code == 2
    assert "fedthaw site init" in err
    assert not site_home(site).path.exists()


def test_the_private_folder_may_lie_elsewhere(
    here: Here, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Radiographs are often mounted read-only."""
    monkeypatch.setenv("FEDTHAW_SITE_HOME", str(tmp_path / "secrets" / "north"))
    here("site", "init", site)
    assert (tmp_path / "secrets" / "north" / "key").is_file()
    assert not (site / "federation").exists()
