"""What a study's folder takes further runs for, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Here = Callable[..., tuple[int, str, str]]
Words = Callable[..., list[object]]
ONE = '[[arm]]\nname = "first"\n'
TWO = ONE + '[[arm]]\nname = "full"\nset = { schedule = "full" }\n'


@pytest.fixture
def arms(tmp_path: Path) -> Path:
    """A file with one arm."""
    path = tmp_path / "arms.toml"
    path.write_text(ONE)
    return path


def test_other_sites_are_another_study(
    two_sites: list[Path],
    runs: list[str],
    here: Here,
    words: Words,
    arms: Path,
    tmp_path: Path,
    write_site: Callable[..., Path],
) -> None:
    """One less would show by difference what it has; in another order they are the same."""
    out = tmp_path / "study"
    given = ("--arms", arms, "--repeats", 1)
    assert here(*words(two_sites, out, *given))[0] == 0
    result = (out / "study.json").read_bytes()
    third = write_site(tmp_path / "sites", "c", 14, seed=2)
    for sites in (two_sites[:1], [*two_sites, third]):
        code, _, stderr = here(*words(sites, out, *given))
        assert code == 2
        given_now = str([site.name for site in sites]).strip("[]")
        assert f"a study of the folders 'a', 'b', and {given_now} are given" in stderr
    assert (out / "study.json").read_bytes() == result
    runs.clear()
    assert here(*words(two_sites[::-1], out, *given))[0] == 0
    assert not runs


def test_nothing_is_begun_beside_runs_that_cannot_be_counted(
    two_sites: list[Path], runs: list[str], here: Here, words: Words, arms: Path, tmp_path: Path
) -> None:
    """It says which folders to remove, and the result that there was stays."""
    out = tmp_path / "study"
    assert here(*words(two_sites, out, "--arms", arms, "--repeats", 1))[0] == 0
    result = (out / "study.json").read_bytes()
    cell = out / "first" / "repeat-0-fold-1"
    run = json.loads((cell / "summary.json").read_text())["run"]
    for kept in Path(os.environ["FEDTHAW_CACHE"]).rglob(f"{run}/b/scores-test.json"):
        kept.unlink()
    arms.write_text(TWO)
    runs.clear()
    grown = words(two_sites, out, "--arms", arms, "--repeats", 1)
    code, _, stderr = here(*grown)
    assert code == 2
    assert "1 of the 2 finished runs cannot be counted any more: b could not be asked" in stderr
    assert str(cell) in stderr
    assert not runs
    assert (out / "study.json").read_bytes() == result
    shutil.rmtree(cell)
    assert here(*grown)[0] == 0
    assert sorted(runs) == ["first 0 1", "full 0 0", "full 0 1"]


def test_a_simulated_study_may_go_on_after_any_time(
    two_sites: list[Path], runs: list[str], here: Here, words: Words, arms: Path, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    assert here(*words(two_sites, out, "--arms", arms, "--repeats", 1))[0] == 0
    for path in Path(os.environ["FEDTHAW_CACHE"]).rglob("*"):
        os.utime(path, (0, 0))
    assert here("simulate", *two_sites, "--out", tmp_path / "run", *_settings(words))[0] == 0
    arms.write_text(TWO)
    assert here(*words(two_sites, out, "--arms", arms, "--repeats", 1))[0] == 0


def _settings(words: Words) -> list[object]:
    line = words([], Path("out"))
    return line[line.index("--set") :]


def test_what_was_shown_is_remembered_while_a_study_grows(
    two_sites: list[Path],
    here: Here,
    words: Words,
    runs: list[str],
    arms: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "study"
    assert here(*words(two_sites, out, "--arms", arms, "--repeats", 1))[0] == 0
    arms.write_text(TWO)

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken_off:
        broken_off.setattr("server.study.cells.simulate_in_own_process", broken)
        assert here(*words(two_sites, out, "--arms", arms, "--repeats", 1))[0] == 130
    assert not (out / "study.json").exists()
    arms.write_text(TWO.removeprefix(ONE) + ONE)
    code, _, stderr = here(*words(two_sites, out, "--arms", arms, "--repeats", 1))
    assert code == 2
    assert "has a result with the arms 'first'; keep them first" in stderr
    arms.write_text(TWO)
    assert here(*words(two_sites, out, "--arms", arms, "--repeats", 1))[0] == 0


def test_a_runs_folder_is_none(
    two_sites: list[Path], here: Here, words: Words, arms: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert here("simulate", *two_sites, "--out", out, *_settings(words))[0] == 0
    page = (out / "report.html").read_bytes()
    code, _, stderr = here(*words(two_sites, out, "--arms", arms))
    assert code == 2
    assert "holds a run, not a study" in stderr
    assert not (out / "plan.json").exists()
    assert (out / "report.html").read_bytes() == page


def test_folders_that_are_no_sites(
    two_sites: list[Path], here: Here, words: Words, arms: Path, tmp_path: Path
) -> None:
    code, _, stderr = here(*words([*two_sites, tmp_path / "nrth"], tmp_path / "s", "--arms", arms))
    assert code == 2
    assert "There is no site folder" in stderr
    assert "nrth; give a folder that holds site.toml" in stderr
    assert not (tmp_path / "s").exists()


def test_a_folder_that_holds_the_sites_is_said_as_for_a_simulation(
    two_sites: list[Path], here: Here, words: Words, arms: Path, tmp_path: Path
) -> None:
    above = two_sites[0].parent
    *_, simulation = here("simulate", above, "--out", tmp_path / "run")
    code, _, study = here(*words([above], tmp_path / "s", "--arms", arms))
    assert (code, study) == (2, simulation)
    assert "folders in it have one (a, b), so name those" in study


@pytest.mark.parametrize("text", [ONE + '[[arm]]\nname = "First"\n', '[[arm]]\nname = "a alone"\n'])
def test_two_arms_in_one_folder(
    two_sites: list[Path], here: Here, words: Words, arms: Path, tmp_path: Path, text: str
) -> None:
    """Those that --each-site adds count too."""
    arms.write_text(text)
    code, _, stderr = here(*words(two_sites, tmp_path / "s", "--arms", arms, "--each-site"))
    assert code == 2
    assert "Two arms are called" in stderr
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("ended", [1, 2])
def test_a_run_that_failed_ends_the_study_as_it_ended(
    two_sites: list[Path],
    here: Here,
    words: Words,
    arms: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ended: int,
) -> None:
    failing = ("sh", "-c", f"echo 'fedthaw: It broke.' >&2; exit {ended}")
    monkeypatch.setattr("server.study.cells.FEDTHAW", failing)
    code, _, stderr = here(*words(two_sites, tmp_path / "s", "--arms", arms))
    assert code == ended
    assert "first, repeat 1, fold 1 failed: It broke." in stderr


def test_a_name_is_for_studies_at_a_coordinator(
    two_sites: list[Path], here: Here, words: Words, arms: Path, tmp_path: Path
) -> None:
    code, _, stderr = here(*words(two_sites, tmp_path / "s", "--arms", arms, "--name", "mine"))
    assert code == 2
    assert "--name is for studies at a coordinator" in stderr
    assert not (tmp_path / "s").exists()


def test_no_page_for_others_of_a_study_that_hides_nothing(
    two_sites: list[Path], runs: list[str], here: Here, words: Words, arms: Path, tmp_path: Path
) -> None:
    out, page = tmp_path / "study", tmp_path / "page.html"
    given = ("--arms", arms, "--repeats", 1)
    assert here(*words(two_sites, out, *given))[0] == 0
    code, _, stderr = here("report", out, "--for-others", "--out", page)
    assert code == 2
    assert "hides nothing" in stderr
    assert "--set for-others=true" in stderr
    code, _, stderr = here("report", out, "--min-cell", 9, "--out", page)
    assert code == 2
    assert "leave --min-cell out" in stderr
    assert not page.exists()
    assert here("report", out, "--out", page)[0] == 0
    others = tmp_path / "others"
    assert here(*words(two_sites, others, *given, "--set", "for-others=true"))[0] == 0
    assert here("report", others, "--for-others", "--out", page)[0] == 0
    assert page.read_text() == (others / "report.html").read_text()
