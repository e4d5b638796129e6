"""What was approved runs byte for byte, whatever lies around it: with real processes.

Each way in is shown to work on Python as it is started otherwise, and not on the working process.
"""

from __future__ import annotations

import importlib._bootstrap_external as bootstrap
import importlib.util
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

from client.node.resident import end_worker, let_work, library_folders, start_worker
from client.node.transfer import Received

APP = b"""
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
import client.own, sys, threading
app = ClientApp()

@app.query()
def query(message, context):
    said = {"own": client.own.WHO, "cached": sys.dont_write_bytecode, "path": "\\n".join(sys.path)}
    return Message(RecordDict({"said": ConfigRecord(said)}), reply_to=message)
"""
SOURCES = {"client/__init__.py": b"", "client/app.py": APP, "client/own.py": b"WHO = 'approved'\n"}


@pytest.fixture
def marked(tmp_path: Path) -> tuple[str, Path]:
    """Code that leaves a mark, and the mark."""
    mark = tmp_path / "mark"
    return f"open({str(mark)!r}, 'w').close()\n", mark


@pytest.fixture
def asked(
    tmp_path: Path, make_received: Callable[[RecordDict], Received]
) -> Callable[..., dict[str, object]]:
    """What a working process of the bundle says, in this room."""

    def ask(room: Path | None = None) -> dict[str, object]:
        import threading

        place = room or tmp_path / "room"
        place.mkdir(exist_ok=True)
        worker = start_worker("digest", SOURCES, place, None)
        try:
            context = Context(7, 42, {}, RecordDict(), {})
            received = make_received(RecordDict())
            reply = let_work(worker, received, context, threading.Event())
        finally:
            worker.process.kill()
            end_worker(worker)
        message = inflate_object_from_contents(reply.tree.object_id, dict(reply.parts))
        return dict(message.content["said"].items())  # type: ignore[attr-defined]

    return ask


def python(*words: str, cwd: Path | None = None, **environment: str) -> None:
    """Python as the working process was started before."""
    variables = os.environ | environment
    subprocess.run([sys.executable, "-P", *words], cwd=cwd, env=variables, check=True)


def poison(folder: Path, evil: str) -> None:
    """A package client, each module with a compiled file that is not checked against its source."""
    (folder / "client" / "__pycache__").mkdir(parents=True)
    for name in ("__init__", "app", "own"):
        (folder / "client" / f"{name}.py").write_bytes(SOURCES[f"client/{name}.py"])
        code = compile(evil, f"client/{name}.py", "exec")
        compiled = bootstrap._code_to_hash_pyc(code, importlib.util.source_hash(b"x"), False)  # type: ignore[attr-defined]
        cached = Path(importlib.util.cache_from_source(str(folder / "client" / f"{name}.py")))
        cached.write_bytes(compiled)


def test_an_unchecked_compiled_file_does_not_run(
    tmp_path: Path, marked: tuple[str, Path], asked: Callable[..., dict[str, object]]
) -> None:
    evil, mark = marked
    room = tmp_path / "poisoned"
    poison(room, evil)
    python("-c", f"import sys; sys.path.insert(0, {str(room)!r}); import client")
    assert mark.exists()
    mark.unlink()
    assert asked(room)["own"] == "approved"
    assert not mark.exists()


@pytest.mark.parametrize("name", ["sitecustomize.py", "usercustomize.py", "client"])
def test_pythonpath_has_no_say(
    tmp_path: Path, marked: tuple[str, Path], asked: Callable[..., dict[str, object]],
    monkeypatch: pytest.MonkeyPatch, name: str,
) -> None:  # fmt: skip
    evil, mark = marked
    if name == "client":
        poison(tmp_path / "evil", evil)
    else:
        (tmp_path / "evil").mkdir()
        (tmp_path / "evil" / name).write_text(evil)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "evil"))
    python("-c", "import client" if name == "client" else "")
    # A virtual environment has no user's packages, so only elsewhere is usercustomize imported.
    assert mark.exists() or name == "usercustomize.py"
    mark.unlink(missing_ok=True)
    said = asked()
    assert said["own"] == "approved"
    assert str(tmp_path / "evil") not in str(said["path"])
    assert not mark.exists()


def test_pth_files_have_no_say(
    tmp_path: Path, marked: tuple[str, Path], asked: Callable[..., dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """In a folder of packages; that of this environment is not touched."""
    evil, mark = marked
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "evil.pth").write_text(f"import builtins; {evil}")
    poison(packages, evil)
    python("-c", f"import site; site.addsitedir({str(packages)!r})")
    assert mark.exists()
    mark.unlink()
    monkeypatch.setattr(
        "client.node.resident.library_folders", lambda: [str(packages), *library_folders()]
    )
    said = asked()
    assert str(packages) in str(said["path"])
    assert said["own"] == "approved"
    assert not mark.exists()


def test_the_working_directory_has_no_say(
    tmp_path: Path, marked: tuple[str, Path], asked: Callable[..., dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    evil, mark = marked
    for name in ("torch.py", "flwr.py", "logging.py"):
        (tmp_path / name).write_text(evil)
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, "-c", "import flwr"], check=True)
    assert mark.exists()
    mark.unlink()
    room = tmp_path / "room"
    room.mkdir()
    (room / "flwr.py").write_text(evil)
    assert asked(room)["own"] == "approved"
    assert not mark.exists()


def test_variables_of_python_have_no_say(
    tmp_path: Path, asked: Callable[..., dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    monkeypatch.setenv("PYTHONINSPECT", "1")
    said = asked()
    assert said["cached"] is True
    assert not (tmp_path / "cache").exists()


def test_the_libraries_are_those_of_this_environment() -> None:
    assert sysconfig.get_paths()["purelib"] in library_folders()
    assert all(Path(one).is_dir() for one in library_folders())
