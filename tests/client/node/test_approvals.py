"""Only what the owner approved may run, and a file in doubt means nothing may."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client.node.approvals import approve, read_approvals, revoke
from client.node.home import SiteHome
from shared.errors import SiteError

ONE, TWO = "0123456789abcdef" * 4, "f" * 64


@pytest.fixture
def home(tmp_path: Path) -> SiteHome:
    return SiteHome(tmp_path)


def test_nothing_is_approved_at_first(home: SiteHome) -> None:
    assert read_approvals(home) == frozenset()


def test_what_is_approved_stays_until_it_is_revoked(home: SiteHome) -> None:
    assert approve(home, ONE, "the first study")
    assert approve(home, TWO.upper())
    assert read_approvals(home) == {ONE, TWO}
    entries = json.loads(home.approved.read_text(encoding="utf-8"))
    assert [entry.keys() for entry in entries] == [{"digest", "when", "note"}] * 2
    assert [entry["note"] for entry in entries] == ["the first study", ""]
    assert stat.S_IMODE(home.approved.stat().st_mode) == 0o600
    revoke(home, ONE.upper())
    assert read_approvals(home) == {TWO}


def test_approving_twice_keeps_one_entry(home: SiteHome) -> None:
    assert approve(home, ONE, "first")
    before = home.approved.read_bytes()
    assert not approve(home, ONE.upper(), "again")
    assert home.approved.read_bytes() == before
    revoke(home, ONE)
    assert read_approvals(home) == frozenset()


@pytest.mark.parametrize(
    "digest", ["", ONE[:-1], ONE + "0", f"sha256:{ONE}", ONE[:-1] + "g", f"{ONE}\n", "٣" * 64, "*"]
)
def test_what_is_no_hash(home: SiteHome, digest: str) -> None:
    for change in (approve, revoke):
        with pytest.raises(SiteError, match="64 hexadecimal digits"):
            change(home, digest)
    assert not home.approved.exists()


def test_revoking_what_was_not_approved_says_so(home: SiteHome) -> None:
    with pytest.raises(SiteError, match="approved are: none"):
        revoke(home, ONE)
    approve(home, ONE)
    with pytest.raises(SiteError, match=f"{TWO} is not approved here; approved are: {ONE}"):
        revoke(home, TWO)


ENTRY = {"digest": ONE, "when": "2026-01-01T00:00:00+00:00", "note": ""}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"null", b"true", b'"*"', b"{}", b"[" * 100_000, b"\xff", b"[[]]", b'["*"]',
        json.dumps([ONE]).encode(), json.dumps({ONE: True}).encode(),
        json.dumps([ENTRY, {"digest": ONE}]).encode(),
        json.dumps([ENTRY | {"digest": "*"}]).encode(),
        json.dumps([ENTRY | {"digest": ONE.upper()}]).encode(),
        json.dumps([ENTRY | {"digest": 7}]).encode(),
        json.dumps([ENTRY | {"more": ""}]).encode(),
        json.dumps([ENTRY]).encode()[:-1],
    ],
)  # fmt: skip
def test_a_damaged_file_approves_nothing(home: SiteHome, data: bytes) -> None:
    home.approved.write_bytes(data)
    with pytest.raises(SiteError, match=r"approved\.json is damaged, so nothing may run here"):
        read_approvals(home)
    for change in (approve, revoke):
        with pytest.raises(SiteError, match="damaged"):
            change(home, ONE)
    assert home.approved.read_bytes() == data


def test_approvals_at_once_lose_nothing(home: SiteHome) -> None:
    digests = [f"{number:064x}" for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda digest: approve(home, digest), digests))
    assert read_approvals(home) == set(digests)
