"""A bundle holds listed Python sources and nothing else."""

from __future__ import annotations

import hashlib
import io
import stat
import warnings
import zipfile
from collections.abc import Callable

import pytest

from client.node import sources as module
from client.node.sources import read_sources
from shared.errors import SiteError
from shared.run.bundle import build_bundle

Files = dict[str, bytes]
GOOD: Files = {
    "pyproject.toml": b"", "client/__init__.py": b"", "client/app.py": b"app = 1\n",
    "shared/a/b.py": b"B = 2\n",
}  # fmt: skip


def listing(files: Files) -> bytes:
    lines = [f"{n},{hashlib.sha256(c).hexdigest()},{8 * len(c)}" for n, c in files.items()]
    return "\n".join(lines).encode()


def archive(files: Files, listed: bytes | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name twice
        for name, content in files.items():
            bundle.writestr(name, content)
        bundle.writestr(".info/CONTENT", listing(files) if listed is None else listed)
    return buffer.getvalue()


def refused(content: bytes, match: str) -> None:
    with pytest.raises(SiteError, match=match) as caught:
        read_sources("d" * 64, content)
    assert "was not run" in str(caught.value)
    assert "/" not in caught.value.shareable


def test_the_sources_are_read() -> None:
    assert read_sources("d" * 64, archive(GOOD)) == {
        name: data for name, data in GOOD.items() if name.endswith(".py")
    }


def test_the_bundle_of_this_fedthaw_is_one() -> None:
    sources = read_sources("d" * 64, build_bundle().content)
    assert {"client/app.py", "shared/settings/config.py", "server/app.py"} <= sources.keys()
    assert all(name.endswith(".py") for name in sources)


@pytest.mark.parametrize(
    "name",
    [
        "client/__pycache__/app.cpython-311.pyc", "client/app.pyc", "client/fast.so",
        "client/fast.pyd", "evil.pth", "sitecustomize.py", "usercustomize.py", "torch/__init__.py",
        "client/data.json", "client/.hidden.py", "client/a b.py", "client/app.py/", "client/ü.py",
        "../x.py", "client/../../x.py", "/client/x.py", "client/./x.py", "client//x.py",
        "client\\x.py", "C:/client/x.py", "client.py", "client/x.py\0.pyc", "client/x.py\n",
        ".info/OTHER", "PYPROJECT.toml",
    ],
)  # fmt: skip
def test_nothing_else_is_in_a_bundle(name: str) -> None:
    refused(archive({**GOOD, name: b"x = 1"}), "holds")


@pytest.mark.parametrize(
    "name", ["client/App.py", "Client/app.py", "client/app/__init__.py", "Pyproject.toml"]
)
def test_no_two_files_stand_for_one(name: str) -> None:
    refused(archive({**GOOD, name: b"x = 1"}), "holds")


def test_no_file_is_there_twice() -> None:
    buffer = io.BytesIO(archive(GOOD))
    with zipfile.ZipFile(buffer, "a") as bundle, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bundle.writestr("client/app.py", b"app = 2\n")
    refused(buffer.getvalue(), "twice")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR])
def test_nothing_but_a_regular_file_is_there(kind: int) -> None:
    buffer = io.BytesIO(archive(GOOD))
    with zipfile.ZipFile(buffer, "a") as bundle:
        link = zipfile.ZipInfo("client/link.py")
        link.create_system, link.external_attr = 3, (kind | 0o777) << 16
        bundle.writestr(link, "/etc/passwd")
    refused(buffer.getvalue(), "link")


@pytest.mark.parametrize(
    "change",
    [
        lambda files: listing(files) + b"\nclient/more.py," + b"0" * 64 + b",0",
        lambda files: b"\n".join(listing(files).splitlines()[:-1]),
        lambda files: listing({**files, "client/app.py": b"app = 2\n"}),
        lambda files: listing(files) + b"\n" + listing(files).splitlines()[0],
        lambda files: b"",
        lambda files: b"\xff\xfe",
    ],
    ids=["more", "fewer", "other", "twice", "empty", "no text"],
)
def test_the_list_and_the_files_agree(change: Callable[[Files], bytes]) -> None:
    refused(archive(GOOD, change(GOOD)), "list of (its )?files")


def test_a_bundle_without_a_list() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        bundle.writestr("client/app.py", b"")
    refused(buffer.getvalue(), "no list")


@pytest.mark.parametrize("content", [b"", b"PK", archive(GOOD)[:-30], bytes(1000)], ids=len)
def test_what_is_no_archive(content: bytes) -> None:
    refused(content, "zip archive")


def test_a_bundle_does_not_swell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNPACKED_LIMIT", 2**20)
    files = {f"client/a{n}.py": bytes(2**19) for n in range(4)}
    content = archive(files)
    assert len(content) < 2**16
    refused(content, "unpacks to more than")
