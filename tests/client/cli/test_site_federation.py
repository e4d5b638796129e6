"""`fedthaw site init`, `key`, `approve` and `revoke`, as a site's owner types them."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from client.node.approvals import read_approvals
from client.node.enrolment import open_site_home, read_authority, read_server
from client.node.home import site_home
from client.node.pending import MOST, read_pending, require_approved
from shared.deployment.keys import (
    PassphraseNeeded,
    certificate_fingerprint,
    fingerprint,
    load_private_key,
    public_key_line,
)
from shared.errors import SiteError
from shared.settings.config import RunConfig

Here = Callable[..., tuple[int, str, str]]
FEDTHAW = Path(sys.executable).parent / "fedthaw"
OWN, OTHER = "a" * 64, "b" * 64


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("FEDTHAW_COORDINATOR", "FEDTHAW_SITE_HOME", "FEDTHAW_SITE_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _own_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed code has a known digest."""
    bundle = ModuleType("shared.run.bundle")
    bundle.build_bundle = lambda: SimpleNamespace(digest=OWN)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shared.run.bundle", bundle)


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
    assert "Kept the existing private key" in out
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
        (("--server", "hub", "--ca", "coordinator/ca.crt"), "'hub' is not the address"),
        (("--server", "hub:1", "--ca", "coordinator/server.crt"), "not the certificate of one"),
        (("--server", "hub:1", "--ca", "coordinator/ca.key"), "PRIVATE key"),
        (("--invitation", "coordinator/ca.crt"), "not an invitation"),
        (("--invitation", "absent.json"), "absent.json cannot be read"),
        (("--invitation", "bytes"), "bytes is not a text file"),
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


def test_code_is_approved_with_any_settings_where_the_owner_says_so(here: Here, site: Path) -> None:
    here("site", "init", site)
    free = "--any-settings-within-policy"
    code, out, _ = here("site", "approve", site, OTHER.upper(), free, "--note", "seen")
    assert code == 0
    assert f"Approved: code {OTHER}, with any settings within [policy] of site.toml." in out
    assert f"NOT the code of the fedthaw installed here, which is {OWN}" in out
    for words in ((OWN,), ("--installed",)):
        _, out, _ = here("site", "approve", site, *words, free)
        assert "It is the code of the fedthaw installed here." in out
    assert "Already approved" in out
    assert [one.bundle for one in read_approvals(site_home(site))] == [OTHER, OWN]
    shown = here("site", "approve", site)[1]
    assert f"any settings within policy of code {OTHER} (seen)" in shown
    assert here("site", "revoke", site, OTHER)[:2] == (
        0, f"Revoked 1 approval of {OTHER}; it no longer runs here.\n",
    )  # fmt: skip
    assert [one.bundle for one in read_approvals(site_home(site))] == [OWN]


def test_a_plan_is_shown_in_words_and_approved(here: Here, site: Path) -> None:
    """What a coordinator has asked for waits; its owner sees what it does before it runs."""
    here("site", "init", site)
    home = site_home(site)
    assert "No run waits for approval." in here("site", "approve", site)[1]
    config = RunConfig(rounds=4, probe_rounds=2, folds=5, optimizer="sgd", weights="/hub/w.pt")
    with pytest.raises(SiteError):
        require_approved(home, OWN, config, site)
    (pending,) = read_pending(home)
    short = pending.plan[:12]
    code, shown, _ = here("site", "approve", site)
    assert code == 0
    for text in (
        f"Plan {short} has waited since", "rounds 1 to 2 the head alone", "5 folds",
        "rounds=4 (default 20)", "weights=a file (default xrv)", "REFUSED all the same",
        "optimizer=sgd",
        "It is the code of the fedthaw installed here.",
        f"To approve it: fedthaw site approve {site} {short}",
    ):  # fmt: skip
        assert text in shown
    assert read_approvals(home) == ()
    code, out, _ = here("site", "approve", site, short)
    assert code == 0
    assert f"Approved: plan {short}, code {OWN}." in out
    assert read_pending(home) == []
    require_approved(home, OWN, replace(config, fold=3, seed=2), site)
    with pytest.raises(SiteError, match="but not with these settings"):
        require_approved(home, OWN, replace(config, folds=6), site)
    assert f"plan {short} of code {OWN}" in here("site", "approve", site)[1]
    assert here("site", "approve", site, short)[:2] == (0, f"Already approved: plan {short}.\n")
    assert here("site", "revoke", site, short)[0] == 0
    assert read_approvals(home) == ()


def test_a_plan_is_approved_before_it_is_asked_for(here: Here, site: Path) -> None:
    here("site", "init", site)
    words = ("--set", "rounds=4", "--set", "weights=/here/w.pt")
    code, out, _ = here("site", "approve", site, "--installed", *words)
    assert code == 0
    assert "Differs from the default: weights=a file (default xrv), rounds=4 (default 20)." in out
    require_approved(site_home(site), OWN, RunConfig(rounds=4, weights="/hub/w.pt"), site)
    with pytest.raises(SiteError):
        require_approved(site_home(site), OWN, RunConfig(rounds=5, weights="/hub/w.pt"), site)


def test_an_approval_of_before_is_named(here: Here, site: Path) -> None:
    here("site", "init", site)
    old = f'[{{"digest": "{OWN}", "when": "2026-01-01T00:00:00+00:00", "note": ""}}]'
    site_home(site).approved.write_text(old)
    shown = here("site", "approve", site)[1]
    assert f"Code {OWN} was approved on 2026-01-01T00:00:00+00:00 without settings" in shown


def test_no_more_plans_wait_than_an_owner_can_look_at(here: Here, site: Path) -> None:
    here("site", "init", site)
    home = site_home(site)
    for rounds in range(1, MOST + 10):
        with pytest.raises(SiteError):
            require_approved(home, OWN, RunConfig(rounds=rounds), site)
    waiting = read_pending(home)
    assert [one.config.rounds for one in waiting] == list(range(10, MOST + 10))
    home.pending.write_text("[3, {")
    assert read_pending(home) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("approve", OWN, "--installed"), "only one of PLAN, HASH and --installed"),
        (("approve", "--set", "rounds=3"), "HASH or --installed"),
        (("approve", "--installed"), "An approval covers code and settings."),
        (("approve", OWN), "--any-settings-within-policy"),
        (
            ("approve", OWN, "--set", "rounds=3", "--any-settings-within-policy"),
            "either --set and --config or",
        ),
        (("approve", OWN, "--set", "roundz=3"), "did you mean 'rounds'"),
        (("approve", OWN, "--set", "out=x"), "out cannot be approved by a site"),
        (("approve", OWN[1:], "--set", "rounds=3"), "64 hexadecimal digits"),
        (("approve", "3f2a90c1b7de"), "No plan 3f2a90c1b7de waits here."),
        (("revoke", OWN), "is not approved here"),
        (("revoke", "x"), "is neither a bundle's hash nor a plan"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_approved(here: Here, site: Path, words: tuple[str, ...], said: str) -> None:
    here("site", "init", site)
    code, out, err = here("site", words[0], site, *words[1:])
    assert (code, out) == (2, "")
    assert said in err
    assert read_approvals(site_home(site)) == ()


def test_a_site_without_a_key_approves_nothing(here: Here, site: Path) -> None:
    code, _, err = here("site", "approve", site, OWN, "--set", "rounds=3")
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


SECRET = "correct horse battery"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\nnot this line\n", encoding="utf-8")
    file.chmod(0o600)
    return file


def test_a_new_key_waits_beside_the_present_one(here: Here, site: Path, invitation: Path) -> None:
    here("site", "init", site, "--invitation", invitation)
    home = site_home(site)
    key = home.key.read_bytes()
    code, out, _ = here("site", "renew-key", site)
    line = home.next_public_key.read_text(encoding="utf-8")
    assert code == 0
    assert fingerprint(line) in out
    assert "fedthaw server register north key.next.pub --renew" in out
    assert home.key.read_bytes() == key
    assert home.next_key.stat().st_mode & 0o777 == 0o600
    code, out, _ = here("site", "renew-key", site)
    assert "Kept the new private key" in out
    assert home.next_public_key.read_text(encoding="utf-8") == line
    shown = here("site", "key", site)[1].splitlines()
    assert shown[0] == home.public_key.read_text(encoding="utf-8").strip()
    assert shown[-2:] == [line.strip(), fingerprint(line)]


def test_a_key_with_a_passphrase(here: Here, site: Path, secret: Path) -> None:
    """It is needed where the private key is used, and nowhere else."""
    assert here("site", "init", site, "--passphrase-file", secret)[0] == 0
    home = site_home(site)
    public = home.public_key.read_text(encoding="utf-8").strip()
    with pytest.raises(PassphraseNeeded):
        load_private_key(home.key)
    assert public_key_line(load_private_key(home.key, SECRET.encode()), "north") == public
    assert here("site", "key", site)[1].splitlines() == [public, fingerprint(public)]
    assert here("site", "init", site)[0] == 0
    assert home.public_key.read_text(encoding="utf-8").strip() == public
    assert here("site", "log", site)[0] == 0
    home.public_key.unlink()
    code, _, err = here("site", "key", site)
    assert code == 2
    assert "ssh-keygen -y" in err


def test_the_next_key_has_the_same_passphrase(
    here: Here, site: Path, secret: Path, tmp_path: Path
) -> None:
    here("site", "init", site, "--passphrase-file", secret)
    home = site_home(site)
    other = tmp_path / "other"
    other.write_text("quite another passphrase", encoding="utf-8")
    other.chmod(0o600)
    for words, said in (((), "needs a passphrase"), (("--passphrase-file", other), "not open")):
        code, _, err = here("site", "renew-key", site, *words)
        assert code == 2
        assert said in err
    assert not home.next_key.exists()
    assert here("site", "renew-key", site, "--passphrase-file", secret)[0] == 0
    assert load_private_key(home.next_key, SECRET.encode())


def test_a_key_that_is_there_gets_no_passphrase_in_silence(
    here: Here, site: Path, secret: Path
) -> None:
    here("site", "init", site)
    code, _, err = here("site", "init", site, "--passphrase-file", secret)
    assert code == 2
    assert "without a passphrase; ssh-keygen -p" in err


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0o600, "cannot be read (No such file"), (b"", 0o600, "is empty"),
        (b"\nsecond line", 0o600, "is empty"), (b"\xff" * 20, 0o600, "not UTF-8"),
        (b"eleven char", 0o600, "has 11 characters"), (b"long enough it is", 0o644, "chmod 600"),
    ],
)  # fmt: skip
def test_what_is_no_passphrase_file(
    here: Here, site: Path, tmp_path: Path, content: bytes | None, mode: int, said: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
        file.chmod(mode)
    code, _, err = here("site", "init", site, "--passphrase-file", file)
    assert code == 2
    assert said in err
    assert not site_home(site).key.exists()


def test_a_passphrase_is_asked_for_at_a_terminal(site: Path) -> None:
    """Twice for a new key, and it is not shown."""
    said, code = at_a_terminal(["site", "init", str(site), "--passphrase"], [SECRET, SECRET])
    assert code == 0, said
    assert SECRET not in said
    assert load_private_key(site_home(site).key, SECRET.encode())


def at_a_terminal(words: list[str], answers: list[str]) -> tuple[str, int]:
    """What a command printed on a terminal at which this was typed, and its exit code."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(FEDTHAW, [str(FEDTHAW), *words])
    said = b""
    with suppress(OSError):  # the terminal ends with the process
        while data := os.read(terminal, 4096):
            said += data
            if answers and data.rstrip().endswith(b":"):
                os.write(terminal, f"{answers.pop(0)}\n".encode())
    os.close(terminal)
    return said.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
