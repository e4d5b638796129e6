from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.external.place import place_for, write_documents
from shared.errors import ConfigError, RunError
from shared.run.events import Event, Warned, listening


def test_a_place_is_private_and_named_after_the_cohorts(tmp_path: Path) -> None:
    with place_for(tmp_path / "run", [Path("a/north"), Path("b/my east")], None) as folder:
        assert folder == tmp_path / "run" / "external" / "north+my_east"
        write_documents(folder, {"metrics.csv": "a\n"})
    for path in (folder, folder / "metrics.csv"):
        assert not path.stat().st_mode & 0o077


def test_an_earlier_result_stays_and_is_named(tmp_path: Path) -> None:
    heard: list[Event] = []
    for number in range(3):
        with listening(heard.append), place_for(tmp_path, [Path("north")], None) as folder:
            write_documents(folder, {"n": str(number)})
    written = {path.parent.name: path.read_text() for path in tmp_path.rglob("n")}
    assert written == {"north": "0", "north-2": "1", "north-3": "2"}
    said = [event.text for event in heard if isinstance(event, Warned)]
    assert len(said) == 2
    assert "north has an earlier result, which stays as it is" in said[0]
    assert said[1].endswith("north-3.")


def test_nothing_is_left_or_said_where_the_evaluation_fails(tmp_path: Path) -> None:
    with place_for(tmp_path / "before", [Path("north")], None) as folder:
        write_documents(folder, {"n": ""})
    heard: list[Event] = []
    with (
        listening(heard.append),
        pytest.raises(RuntimeError),
        place_for(tmp_path / "before", [Path("north")], None),
    ):
        raise RuntimeError
    assert heard == []
    for out in (None, tmp_path / "out"):
        with pytest.raises(RuntimeError), place_for(tmp_path / "run", [Path("north")], out):
            raise RuntimeError
    assert {path.name for path in tmp_path.iterdir()} == {"before", "run"}
    assert list((tmp_path / "run").iterdir()) == []


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "out", tmp_path / "file"):
        with (
            pytest.raises(ConfigError, match="not empty, and no result is overwritten"),
            place_for(tmp_path, [Path("north")], out),
        ):
            pass
    assert (tmp_path / "out" / "old.txt").read_text() == "x"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "external").write_text("a file")
    with (
        pytest.raises(ConfigError, match=r"No folder for the results.*name one with --out"),
        place_for(tmp_path, [Path("north")], None),
    ):
        pass


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with place_for(tmp_path, [Path("n")], None) as folder:
        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(RunError, match="No space left"):
            write_documents(folder, {"a": "b"})
    assert not (tmp_path / "external").exists()
