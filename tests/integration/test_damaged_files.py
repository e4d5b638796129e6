"""Every file of every folder, damaged in every way, before every command that reads it.

A command may refuse or go on, but it says what is wrong: no traceback, nothing "unexpected".
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.errors import RunError
from shared.terminal import cli
from shared.terminal.cli import run as run_command

Here = Callable[..., tuple[int, str, str]]
Damage = Callable[[Path, random.Random], None]
SEED = 20261128
HANGS_SECONDS = 60


def truncated(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(max(1, len(data)))])


def empty(path: Path, rng: random.Random) -> None:
    path.write_bytes(b"")


def flipped(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def noise(path: Path, rng: random.Random) -> None:
    path.write_bytes(rng.randbytes(rng.randint(1, 3000)))


def missing(path: Path, rng: random.Random) -> None:
    path.unlink()


def a_folder(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def a_loop(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to(path.name)


def other_encoding(path: Path, rng: random.Random) -> None:
    text = path.read_bytes().decode("utf-8", "replace")
    path.write_bytes(text.encode(rng.choice(["utf-16", "utf-32", "utf-8-sig"])))


def deep(path: Path, rng: random.Random) -> None:
    depth = rng.choice([500, 100_000])
    path.write_text("[" * depth + "]" * depth)


def deep_objects(path: Path, rng: random.Random) -> None:
    path.write_text('{"config":' * 50_000 + "1" + "}" * 50_000)


def other_document(path: Path, rng: random.Random) -> None:
    others = ["null", "3", '"text"', "[]", "{}", "[[]]", "[null]", "NaN", "1e999"]
    path.write_text(rng.choice(others))


VALUES: list[Any] = [
    None, True, -1, 0, 10**30, 1e308, "", "x", "\x1b[2J\nx", [], {}, [1], {"a": 1}, [[[]]],
    float("nan"), float("inf"), -float("inf"), "9" * 5000,
]  # fmt: skip


def other_value(path: Path, rng: random.Random) -> None:
    """One value somewhere in the document is of another type, or out of range."""
    lines = path.read_text(encoding="utf-8")
    with contextlib.suppress(ValueError):
        path.write_text(json.dumps(_changed(json.loads(lines), rng)))
        return
    rows = lines.splitlines()  # a document a line
    number = rng.randrange(len(rows))
    rows[number] = json.dumps(_changed(json.loads(rows[number]), rng))
    path.write_text("\n".join(rows) + "\n")


def _changed(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        kind = rng.random()
        if kind < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if kind < 0.2:
            return {**value, "unknown\x1b": rng.choice(VALUES)}
        return {**value, key: _changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], _changed(value[place], rng), *value[place + 1 :]]
    return rng.choice(VALUES)


def twice(path: Path, rng: random.Random) -> None:
    """A key that is there twice."""
    text = path.read_text(encoding="utf-8")
    start = text.find('"')
    end = text.find('"', start + 1)
    key = text[start : end + 1]
    path.write_text(text.replace(key, f"{key}: 1, {key}", 1))


def huge_header(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(struct.pack("<Q", rng.choice([2**63, 2**40, 10**8, len(data)])) + data[8:])


def other_tensors(path: Path, rng: random.Random) -> None:
    """Offsets that overlap or lie outside, shapes and types that are others'."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    names = [name for name in header if name != "__metadata__"]
    name = rng.choice(names)
    entry = header[name]
    match rng.randrange(7):
        case 0:
            entry["data_offsets"] = [0, 4]
        case 1:
            entry["data_offsets"] = [0, 2**50]
        case 2:
            entry["dtype"] = rng.choice(["I32", "F16", "F64", "BOOL", "F8_E4M3", "nothing"])
        case 3:
            entry["shape"] = rng.choice([[], [0], [2**40], [-1], [1, *entry["shape"]]])
        case 4:
            del header[name]
        case 5:
            header["delta/unknown.weight"] = header.pop(name)
        case 6:
            entry["dtype"] = "I32"  # as many bytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


ANY: tuple[Damage, ...] = (truncated, empty, flipped, noise, missing, a_folder, a_loop)
TEXT: tuple[Damage, ...] = (
    other_encoding, deep, deep_objects, other_document, *[other_value] * 12, twice,
)  # fmt: skip
TENSORS: tuple[Damage, ...] = (huge_header, *[other_tensors] * 4)


def damages_of(path: Path) -> tuple[Damage, ...]:
    if path.suffix in (".json", ".jsonl"):
        return ANY + TEXT
    return ANY + TENSORS if path.suffix == ".safetensors" else ANY


@dataclass(frozen=True)
class Case:
    """A damaged file, and the command that comes upon it."""

    file: Path
    damage: Damage
    command: Sequence[object]
    seed: int

    def __str__(self) -> str:
        words = " ".join(str(word) for word in self.command)
        return f"{self.damage.__name__} {self.file.name} (seed {self.seed}): fedthaw {words}"


def cases(root: Path, commands: Sequence[Sequence[object]], number: int) -> Iterator[Case]:
    """A sample of files, damages and commands."""
    files = sorted(
        path for path in root.rglob("*") if path.is_file() and not path.is_symlink()
        and not {"images", "cache", ".cache"} & set(path.relative_to(root).parts)
    )  # fmt: skip
    every = [
        (file, damage, command)
        for file in files
        for damage in damages_of(file)
        for command in commands
    ]
    rng = random.Random(SEED)
    for file, damage, command in rng.sample(every, min(number, len(every))):
        yield Case(file, damage, command, rng.randrange(2**31))


def complaint_about(case: Case, code: int, said: str) -> str | None:
    """What is wrong with how a command ended."""
    if code not in (0, 1, 2):
        return f"exit code {code}"
    for word in ("Unexpected", "Traceback", "\x1b[2J"):
        if word in said:
            return f"it said {word}"
    if code and not said.strip():
        return "it failed without a word"
    return None


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    """What hangs is interrupted, and ends with the code of Ctrl-C."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(HANGS_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def survey(
    root: Path, commands: Sequence[Sequence[object]], number: int, capsys: Any, tmp_path: Path
) -> list[str]:
    """Every case on a fresh copy of the folder; what went wrong."""
    wrong = []
    for case in cases(root, commands, number):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(root, copy, symlinks=True)
        file = copy / case.file.relative_to(root)
        with contextlib.suppress(ValueError, KeyError, IndexError):
            case.damage(file, random.Random(case.seed))
        words = [str(word).replace("{}", str(copy)) for word in case.command]
        with time_limit():
            code = run_command(cli.app, words)
        captured = capsys.readouterr()
        problem = complaint_about(case, code, captured.out + captured.err)
        if problem is not None:
            wrong.append(f"{case}\n    {problem}: {(captured.err or captured.out)[-400:]}")
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)
    return wrong


RUN_COMMANDS = (
    ("report", "{}/run", "--out", "{}/page.html"),
    ("export", "{}/run"),
    ("predict", "{}/run", "{}/one.png"),
    ("evaluate", "{}/run", "{}/north"),
    ("simulate", "{}/north", "{}/east", "--out", "{}/run", "--resume", "{settings}"),
)
COORDINATOR_COMMANDS = (
    ("server", "status", "--home", "{}/coordinator"),
    ("server", "sites", "--home", "{}/coordinator"),
    ("server", "register", "west", "{}/site.pub", "--home", "{}/coordinator"),
    ("server", "remove", "north", "--home", "{}/coordinator"),
    ("server", "invite", "south", "--home", "{}/coordinator"),
    ("server", "renew", "--home", "{}/coordinator"),
    ("stop", "first", "--home", "{}/coordinator"),
    ("submit", "--resume", "first", "--home", "{}/coordinator"),
    ("report", "{}/coordinator/runs/first"),
)
SITE_COMMANDS = (
    ("site", "log", "{}/north"),
    ("site", "key", "{}/north"),
    ("site", "approve", "{}/north", "--installed"),
    ("site", "revoke", "{}/north", "a" * 64),
    ("site", "init", "{}/north", "--invitation", "{}/invitation.json"),
    ("site", "check", "{}/north"),
)
SETTINGS = (
    "backbone=micro", "weights=random", "image-size=32", "rounds=2", "probe-rounds=1", "threads=1",
    "feature-cache=off",
)  # fmt: skip


def with_settings(command: Sequence[object]) -> list[object]:
    more = [word for one in SETTINGS for word in ("--set", one)]
    return [word for part in command for word in (more if part == "{settings}" else [part])]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, write_site: Callable[..., Path]) -> Path:
    """Two sites and their finished run."""
    root = tmp_path_factory.mktemp("workplace")
    for seed, name in enumerate(("north", "east")):
        write_site(root, name, 12, seed=seed)
    shutil.copy(next((root / "north" / "images").iterdir()), root / "one.png")
    command = [str(root / "north"), str(root / "east"), "--out", str(root / "run")]
    more = [word for one in SETTINGS for word in ("--set", one)]
    assert run_command(cli.app, ["simulate", *command, *more]) == 0
    return root


@pytest.fixture(scope="module")
def federation(
    tmp_path_factory: pytest.TempPathFactory, write_site: Callable[..., Path], workplace: Path
) -> Path:
    """A coordinator's folder with a run, and a site's folder with keys, approvals and a log."""
    from client.node.home import site_home
    from server.link.jobs.orders import Order, write_order
    from shared.audit.log import append
    from shared.settings.config import RunConfig

    root = tmp_path_factory.mktemp("federation")
    site, home = write_site(root, "north", 4), root / "coordinator"
    for words in (
        ("server", "init", home, "--name", "localhost"),
        ("server", "invite", "north", "--home", home),
        ("site", "init", site, "--invitation", home / "invitations" / "north.json"),
        ("site", "approve", site, "--installed", "--any-settings-within-policy"),
    ):
        assert run_command(cli.app, [str(word) for word in words]) == 0, words
    inside = site_home(site)
    key = inside.public_key
    assert run_command(cli.app, ["server", "register", "north", str(key), "--home", str(home)]) == 0
    shutil.copy(key, root / "site.pub")
    shutil.copy(home / "invitations" / "north.json", root / "invitation.json")
    for number in range(3):
        content = {"delta": {"fc.bias": "1"}, "metrics": {"positives": [1, 2], "negatives": [3]}}
        sent = {"to": "localhost", "run": "1", "type": "train", "round": str(number), "bytes": 9}
        append(inside.audit, {**sent, "content": content})
    folder = home / "runs" / "first"
    shutil.copytree(workplace / "run", folder)
    write_order(Order(folder, "2026-11-28T00:00:00+00:00", "a" * 64, RunConfig()))
    (home / "status.json").write_text(json.dumps({"pid": 1, "run": None, "sites": {}}))
    return root


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("FEDTHAW_COORDINATOR", "FEDTHAW_SITE_HOME"):
        monkeypatch.delenv(name, raising=False)


NUMBER = int(os.environ.get("FEDTHAW_FUZZ", "12"))
"""Cases of a folder; more of them (FEDTHAW_FUZZ=500) for who changes a reader."""


def test_files_of_a_run(workplace: Path, capsys: Any, tmp_path: Path) -> None:
    commands = [with_settings(command) for command in RUN_COMMANDS]
    wrong = survey(workplace, commands, NUMBER, capsys, tmp_path)
    assert not wrong, "\n".join(wrong)


def test_files_of_a_coordinator(federation: Path, capsys: Any, tmp_path: Path) -> None:
    wrong = survey(federation, COORDINATOR_COMMANDS, NUMBER, capsys, tmp_path)
    assert not wrong, "\n".join(wrong)


def test_files_of_a_site(federation: Path, capsys: Any, tmp_path: Path) -> None:
    wrong = survey(federation, SITE_COMMANDS, NUMBER, capsys, tmp_path)
    assert not wrong, "\n".join(wrong)


ARMS = """
[[arm]]
name = "first"
[[arm]]
name = "full"
set = { schedule = "full" }
"""
STUDY_COMMANDS = (
    ("report", "{}/study"),
    ("study", "{}/north", "{}/east", "--arms", "{}/arms.toml", "--folds", "2", "--repeats", "1",
     "--out", "{}/study", "{settings}"),
)  # fmt: skip


@pytest.mark.slow
def test_files_of_a_study(
    tmp_path_factory: pytest.TempPathFactory, write_site: Callable[..., Path], capsys: Any,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Where a run is gone it would be run again, which takes long: it is only said to be so."""
    root = tmp_path_factory.mktemp("study")
    for seed, name in enumerate(("north", "east")):
        write_site(root, name, 16, seed=seed)
    (root / "arms.toml").write_text(ARMS, encoding="utf-8")
    commands = [with_settings(command) for command in STUDY_COMMANDS]
    words = [str(word).replace("{}", str(root)) for word in commands[1]]

    def in_this_process(_: object, words: Sequence[str]) -> None:
        assert run_command(cli.app, ["simulate", *words]) == 0

    with monkeypatch.context() as patch:
        patch.setattr("server.study.cells.simulate_in_own_process", in_this_process)
        assert run_command(cli.app, words) == 0, capsys.readouterr().err

    def not_again(*given: Any) -> None:
        raise RunError("This run would be done again.")

    monkeypatch.setattr("server.study.cells._run", not_again)
    wrong = survey(root, commands, 3 * NUMBER, capsys, tmp_path)
    assert not wrong, "\n".join(wrong)
