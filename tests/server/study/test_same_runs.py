"""A run in a study's folder counts for an arm only where it was trained as that arm says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from server.results.plan import Arm
from server.study.cells import Cell
from server.study.same_runs import require_same_runs
from shared.errors import ConfigError
from shared.settings.config import RunConfig
from shared.terminal import cli

Here = Callable[..., tuple[int, str, str]]
Words = Callable[..., list[object]]
ONE = '[[arm]]\nname = "first"\n'
SECOND = '[[arm]]\nname = "second"\n'
FULL = SECOND + 'set = { schedule = "full" }\n'


@pytest.fixture(scope="module")
def without_result(
    write_site: Callable[..., Path], words: Words, tmp_path_factory: pytest.TempPathFactory,
    run_cells_here: Callable[[pytest.MonkeyPatch], list[str]],
) -> tuple[list[Path], Path]:  # fmt: skip
    """Two sites, and a study of two arms, all of whose runs are there, without a result."""
    folder = tmp_path_factory.mktemp("interrupted")
    sites = [write_site(folder, name, 14, seed=n) for n, name in enumerate(("a", "b"))]
    (folder / "arms.toml").write_text(ONE + FULL)
    given = words(sites, folder / "study", "--arms", folder / "arms.toml", "--repeats", 1)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        runs = run_cells_here(patch)
        patch.setattr("server.study.gather.study_result", stop)
        assert cli.run(cli.app, [str(word) for word in given]) == 130
    assert len(runs) == 4
    return sites, folder / "study"


@pytest.fixture
def interrupted(
    without_result: tuple[list[Path], Path], runs: list[str], here: Here, words: Words,
    tmp_path: Path,
) -> Callable[..., tuple[int, str]]:  # fmt: skip
    """Goes on with a copy of that study: `interrupted(arms)`."""
    sites, study = without_result
    out = shutil.copytree(study, tmp_path / "study")
    arms = tmp_path / "arms.toml"

    def go_on(text: str) -> tuple[int, str]:
        arms.write_text(text)
        code, _, stderr = here(*words(sites, out, "--arms", arms, "--repeats", 1))
        return code, stderr

    return go_on


def test_an_arm_that_comes_back_otherwise_is_not_taken_for_what_it_was(
    interrupted: Callable[..., tuple[int, str]], runs: list[str], tmp_path: Path
) -> None:
    """Left out, so that the plan no longer has it, and taken up with other settings."""
    out = tmp_path / "study"
    assert interrupted(ONE)[0] == 0
    result = (out / "study.json").read_bytes()
    code, stderr = interrupted(ONE + SECOND)
    assert code == 2
    assert "repeat-0-fold-0 holds a run of other settings than arm 'second' has" in stderr
    assert "schedule is 'full' there and 'adaptive' here" in stderr
    assert (out / "study.json").read_bytes() == result
    shutil.rmtree(out / "second")
    assert interrupted(ONE + SECOND)[0] == 0
    assert runs == ["second 0 0", "second 0 1"]
    trained = json.loads((out / "second/repeat-0-fold-0/config.json").read_text())["config"]
    assert trained["schedule"] == "adaptive"


def test_an_arm_that_comes_back_as_it_was_keeps_its_runs(
    interrupted: Callable[..., tuple[int, str]], runs: list[str]
) -> None:
    assert interrupted(ONE)[0] == 0
    assert interrupted(ONE + FULL)[0] == 0
    assert runs == []


@pytest.mark.parametrize(
    ("changed", "why"),
    [('sites = ["a"]\n', "its sites are a, b"), ("pooled = true\n", "pooled is False there")],
)
def test_other_sites_or_pooled_data_are_another_run(
    interrupted: Callable[..., tuple[int, str]], runs: list[str], changed: str, why: str
) -> None:
    assert interrupted(ONE)[0] == 0
    code, stderr = interrupted(ONE + FULL + changed)
    assert code == 2
    assert why in stderr
    assert runs == []


CELL = Cell(Arm("first"), 0, 0)
SITES = {"sites": "data/north:data/east", "weights": "base.pt"}


def trained(out: Path, **settings: str | float) -> None:
    """Leave a run of the cell with these settings."""
    folder = CELL.folder(out)
    folder.mkdir(parents=True)
    document = {"run": "1", "config": SITES | settings}
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize(
    ("there", "now"),
    [
        ({}, {"sites": "moved/east:moved/north", "weights": "moved/base.pt"}),
        ({"threads": 1}, {"threads": 2}),
        ({"teacher": "runs/../teacher"}, {"teacher": "teacher"}),
        ({}, {"sites": ""}),  # at a coordinator, which does not know the folders
    ],
)
def test_what_does_not_change_what_is_learnt_may_differ(
    tmp_path: Path, there: dict[str, str | float], now: dict[str, str | float]
) -> None:
    trained(tmp_path, **there)
    require_same_runs([(CELL, RunConfig(**SITES | there | now))], tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "why"),
    [
        ({"lr_head": 0.5}, "lr-head is 0.001 there and 0.5 here"),
        ({"weights": "random"}, "weights is a file there and random here"),
        ({"teacher": "other"}, "teacher is another run"),
        ({"sites": "data/north"}, "its sites are east, north"),
    ],
)
def test_what_does_is_named_with_its_folder(
    tmp_path: Path, now: dict[str, str | float], why: str
) -> None:
    trained(tmp_path)
    wanted = RunConfig(**SITES | now)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="repeat-0-fold-0 holds a run of other") as refused:
        require_same_runs([(CELL, wanted)], tmp_path)
    assert why in str(refused.value)
    assert refused.value.exit_code == 2
