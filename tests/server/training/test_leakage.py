"""Leakage through a teacher that was trained on patients whom a run evaluates."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from server.results.plan import Arm, SimulatedStudy, StudyPlan
from server.run.folder import RunFolder, write_config
from server.study import ready
from server.training.leakage import teacher_leakage
from shared.run.events import Event, Warned, listening
from shared.settings.config import RunConfig

Taught = Callable[..., str]


@pytest.fixture
def taught(tmp_path: Path) -> Taught:
    """The folder of a teacher's run of these sites' folders."""

    def make(*sites: str, **settings: object) -> str:
        folders = os.pathsep.join(str(tmp_path / site) for site in sites)
        config = replace(RunConfig(sites=folders, folds=5), **settings)  # type: ignore[arg-type]
        folder = RunFolder(tmp_path / "teacher", "r1", config)
        write_config(folder, "sha256:ab", "xrv")
        return str(folder.path)

    return make


def student(teacher: str, *sites: Path) -> RunConfig:
    return RunConfig(sites=os.pathsep.join(map(str, sites)), folds=5, teacher=teacher)


@pytest.mark.parametrize(
    ("split", "said"),
    [({}, False), ({"fold": 1}, True), ({"folds": 0}, True), ({"seed": 1}, True)],
)
def test_another_split_of_the_same_patients_leaks(
    taught: Taught, tmp_path: Path, split: dict[str, object], *, said: bool
) -> None:
    config = student(taught("north", "east", **split), tmp_path / "west", tmp_path / "north")
    sentence = teacher_leakage(config)
    assert (sentence is not None) is said
    assert sentence is None or "was trained on north with another split" in sentence


def test_a_teacher_of_other_patients_does_not(taught: Taught, tmp_path: Path) -> None:
    teacher = taught("north", seed=1)
    assert teacher_leakage(student(teacher, tmp_path / "west")) is None
    assert teacher_leakage(replace(student(teacher, tmp_path / "north"), sites="")) is None
    assert teacher_leakage(RunConfig(sites=str(tmp_path / "north"))) is None


def test_a_study_says_so_once_of_each_arm(
    taught: Taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run cannot have left out the patients of every fold."""
    teacher = taught("north")
    plan = StudyPlan((Arm("plain"), Arm("taught", {"teacher": teacher})), folds=5, repeats=1)
    for name in ("require_weights", "require_ready_sites", "_warn_of_copies", "_ask"):
        monkeypatch.setattr(ready, name, lambda *_, **__: None)
    heard: list[Event] = []
    with listening(heard.append):
        study = SimulatedStudy(plan, {"north": tmp_path / "north"}, {})
        ready.require_ready(study, tmp_path / "study")
    (warned,) = (event for event in heard if isinstance(event, Warned))
    assert warned.text.startswith("Arm 'taught': The teacher in ")
