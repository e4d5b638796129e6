"""What a study will cost, before its first run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from server.results.plan import Arm, SimulatedStudy, StudyPlan
from server.simulation.grid import InProcessGrid
from server.study.cells import Cell
from server.study.estimate import study_estimate
from shared.settings.config import RunConfig
from shared.settings.setting import Scalar

SETTINGS: dict[str, Scalar] = {"weights": "random", "backbone": "micro", "image-size": 32}
PLAN = StudyPlan((Arm("whole"), Arm("alone", {"schedule": "probe"}, ("a",))), 5, 4)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Ten minutes a run, half a minute of the probe; which configurations were measured."""
    seen: list[tuple[str, int, int]] = []

    def seconds(_: InProcessGrid, config: RunConfig) -> tuple[float, ...]:
        seen.append((config.schedule, len(config.site_folders), config.folds))
        return (25.0,) if config.schedule == "probe" else (500.0, 95.0)

    monkeypatch.setattr(InProcessGrid, "expected_seconds", seconds)
    return seen


def done(cell: Cell, out: Path) -> None:
    cell.folder(out).mkdir(parents=True)
    (cell.folder(out) / "summary.json").write_text("{}")


def test_the_runs_of_each_arm_that_are_not_done(
    two_sites: list[Path], measured: list[tuple[str, int, int]], tmp_path: Path
) -> None:
    """Each arm is measured once, as its runs will be; each run starts a process (5 s)."""
    study = SimulatedStudy(PLAN, {site.name: site for site in two_sites}, SETTINGS)
    out = tmp_path / "study"
    said = study_estimate(study, out, 1)
    assert measured == [("adaptive", 2, 5), ("probe", 1, 5)]
    assert said is not None
    assert said.startswith("Estimate: about 3 h 30 min for 40 runs, and ")  # 20 * 600 + 20 * 30 s
    for fold in range(5):
        done(Cell(PLAN.arms[0], 0, fold), out)
    fewer = study_estimate(study, out, 2)
    assert fewer is not None
    assert fewer.startswith("Estimate: about 80 min for 35 runs")  # (15 * 600 + 20 * 30) / 2 s


def test_nothing_is_said_where_nothing_is_known(
    two_sites: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    study = SimulatedStudy(PLAN, {site.name: site for site in two_sites}, SETTINGS)
    monkeypatch.setattr(InProcessGrid, "expected_seconds", lambda *_: None)
    assert study_estimate(study, tmp_path / "study", 1) is None


def test_a_study_says_it_before_its_first_run(
    two_sites: list[Path], words: Callable[..., list[object]], runs: list[str],
    here: Callable[..., tuple[int, str, str]], tmp_path: Path,
) -> None:  # fmt: skip
    arms = tmp_path / "arms.toml"
    arms.write_text('[[arm]]\nname = "one"\n')
    line = words(two_sites, tmp_path / "study", "--arms", arms, "--repeats", 1)
    code, _, err = here(*line)
    assert code == 0, err
    said = [one.partition(":")[0] for one in err.splitlines()]
    assert said.index("Estimate") < said.index("1/2")
    assert len(runs) == 2
    assert "Estimate" not in here(*line)[2]
