"""A run's folder: created once, continued as it began, held by one process."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from server.run.folder import (
    RESUMABLE_CHANGES,
    RunFolder,
    locked,
    open_run,
    prepare_folder,
    stored_base,
    write_config,
)
from shared.errors import ConfigError, RunError
from shared.settings.config import RunConfig
from shared.settings.setting import key_of

BASE = "sha256:" + "a" * 64


@pytest.fixture
def begun(tmp_path: Path) -> RunFolder:
    """A run that has written its config.json."""
    folder = prepare_folder(RunConfig(out=str(tmp_path / "run"), seed=3, update_steps=2.0))
    write_config(folder, BASE, "random")
    return folder


def resumed(folder: RunFolder, **changes: object) -> RunConfig:
    values = {"out": str(folder.path), "resume": True, **changes}
    return dataclasses.replace(folder.config, **values)  # type: ignore[arg-type]


def test_a_new_run_has_a_name_that_may_travel(tmp_path: Path) -> None:
    folder = prepare_folder(RunConfig(out=str(tmp_path / "run")))
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", folder.run)
    assert not folder.path.exists()


def test_without_out_the_folder_is_named_after_the_run() -> None:
    folder = prepare_folder(RunConfig())
    assert folder.path == Path("runs") / folder.run


def test_the_files_of_a_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "r1", RunConfig())
    assert (folder.summary, folder.model, folder.ledger) == (
        tmp_path / "summary.json",
        tmp_path / "model.safetensors",
        tmp_path / "ledger.jsonl",
    )


def test_config_json_says_what_the_run_was(begun: RunFolder) -> None:
    document = json.loads((begun.path / "config.json").read_text(encoding="utf-8"))
    assert document["run"] == begun.run
    assert document["config"] == begun.config.to_flat()
    assert document["base"] == {"digest": BASE, "source": "random"}
    assert {"python", "fedthaw", "flwr", "torch", "numpy"} <= set(document["versions"])
    assert open_run(begun.path) == begun
    assert stored_base(begun) == BASE


def test_a_run_that_has_not_begun_has_no_base(tmp_path: Path) -> None:
    assert stored_base(RunFolder(tmp_path, "r1", RunConfig())) is None


def test_an_existing_run_is_not_overwritten(begun: RunFolder) -> None:
    with pytest.raises(ConfigError, match="already holds a run; continue it with --resume"):
        prepare_folder(begun.config)


def test_another_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    for path in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(ConfigError, match="exists and is not empty; name another folder"):
            prepare_folder(RunConfig(out=str(path)))


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    assert prepare_folder(RunConfig(out=str(tmp_path))).path == tmp_path


def test_a_run_that_ended_before_it_began_can_be_started_again(tmp_path: Path) -> None:
    config = RunConfig(out=str(tmp_path / "run"))
    with locked(prepare_folder(config)):
        pass
    assert prepare_folder(config).path == tmp_path / "run"


def test_a_continued_run_is_the_one_that_began(begun: RunFolder) -> None:
    continued = prepare_folder(resumed(begun))
    assert (continued.run, continued.path) == (begun.run, begun.path)
    assert continued.config == begun.config


def test_a_submitted_run_is_never_taken_for_an_earlier_one_of_its_name(tmp_path: Path) -> None:
    """Whose folder was removed, while its sites still have what they kept of it."""
    config = RunConfig(out=str(tmp_path / "trial"))
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / "order.json").touch()
    first, second = prepare_folder(config), prepare_folder(config)
    assert first.run != second.run
    for folder in (first, second):
        assert re.fullmatch(r"trial-[0-9a-f]{6}", folder.run)
    write_config(second, BASE, "random")
    assert prepare_folder(resumed(second)).run == second.run


def test_settings_of_the_machine_may_change(begun: RunFolder) -> None:
    assert sorted(RESUMABLE_CHANGES) == [
        "min_sites", "out", "reconnect_wait", "resume", "retries", "round_timeout",
        "tensorboard", "weights",
    ]  # fmt: skip
    changes = {"min_sites": 3, "round_timeout": 60, "reconnect_wait": 5, "retries": 0,
               "weights": "moved.pt"}  # fmt: skip
    continued = prepare_folder(resumed(begun, **changes))
    assert continued.config == dataclasses.replace(begun.config, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "item",
    [
        item
        for item in dataclasses.fields(RunConfig)
        if item.name not in RESUMABLE_CHANGES and len(item.metadata["choices"]) != 1
    ],
    ids=lambda item: item.name,
)
def test_no_other_setting_may_change(begun: RunFolder, item: dataclasses.Field[object]) -> None:
    before = getattr(begun.config, item.name)
    if item.metadata["choices"]:
        other: object = next(c for c in item.metadata["choices"] if c != before)
    elif isinstance(before, bool):
        other = not before
    elif item.name == "outcome":
        other = "classes: no | mild | severe"
    elif item.name in ("thaw_at", "rates"):
        other = "layer4=0.2,layer3=0.4,layer2=0.7"
    elif isinstance(before, str):
        other = "layer4=0.25" if item.name in ("thaw_at", "rates") else "b" * 64
    elif isinstance(before, int):
        other = item.metadata["maximum"] - 1
    else:
        other = before + 0.001 if before < item.metadata["maximum"] else before - 0.001
    beside: dict[str, object] = {}
    sentence = f"{key_of(item.name)} was {before!r} and is now {other!r}"
    if other == "rgb":  # xrv is of grey images alone
        beside = {"weights": "moved.pt"}
    elif item.name == "fold":
        beside = {"folds": 100}
        sentence = f"folds was 0 and is now 100, {sentence}"
    with pytest.raises(ConfigError, match=re.escape(f"keeps its settings, but {sentence}")):
        prepare_folder(resumed(begun, **{item.name: other}, **beside))


def test_a_moved_run_is_continued_where_it_is(begun: RunFolder, tmp_path: Path) -> None:
    begun.path.rename(tmp_path / "moved")
    continued = prepare_folder(resumed(begun, out=str(tmp_path / "moved")))
    assert (continued.run, continued.path) == (begun.run, tmp_path / "moved")


def test_nothing_to_continue(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a run's folder: it has no config"):
        prepare_folder(RunConfig(out=str(tmp_path), resume=True))
    with pytest.raises(ConfigError, match="resume is set without out"):
        prepare_folder(RunConfig(resume=True))


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "17", "{}", '{"run": "a"}', '{"run": "a", "config": []}',
     '{"run": "a", "config": null}'],
)  # fmt: skip
def test_a_config_json_that_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.json cannot be read as a run's configuration"):
        open_run(tmp_path)


def test_a_config_json_with_settings_of_another_version(begun: RunFolder) -> None:
    file = begun.path / "config.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["config"]["teleport"] = True
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ConfigError, match="Unknown setting 'teleport'"):
        open_run(begun.path)


HOLDER = """
import fcntl, sys
handle = open(sys.argv[1], "w")
fcntl.flock(handle, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_folder_that_another_process_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.run.folder.PATIENCE_SECONDS", 0.1)
    folder = RunFolder(tmp_path, "r1", RunConfig())
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="Another process is working on the run"), locked(folder):
            pytest.fail("the lock was given twice")
        other.kill()
    with locked(folder):
        pass


def test_the_lock_is_given_back_however_the_work_ends(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "deep" / "run", "r1", RunConfig())
    with pytest.raises(ZeroDivisionError), locked(folder):
        raise ZeroDivisionError
    with locked(folder):
        assert folder.path.is_dir()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = RunFolder(tmp_path / "file" / "run", "r1", RunConfig())
    sentence = r"cannot be written \(Not a directory\); choose another with --out"
    with pytest.raises(ConfigError, match=sentence), locked(folder):
        pytest.fail("there is no folder to lock")
    with pytest.raises(RunError, match=sentence):
        write_config(folder, BASE, "random")


def test_a_full_disk(tmp_path: Path, fill_disk: Callable[[], None]) -> None:
    fill_disk()
    with pytest.raises(RunError, match=r"cannot be written \(No space left on device\)"):
        write_config(RunFolder(tmp_path, "r1", RunConfig()), BASE, "random")
    assert os.listdir(tmp_path) == []
