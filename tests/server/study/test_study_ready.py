"""What cannot be trained is said with its arm before the first arm trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from server.results.plan import Arm, SimulatedStudy, StudyPlan
from server.study import cells, ready
from shared.run.events import Event, Warned, listening
from shared.settings.setting import Scalar

Here = Callable[..., tuple[int, str, str]]
TINY = ("backbone=micro", "image-size=32", "threads=1", "probe-rounds=1", "rounds=1")
GOOD = '[[arm]]\nname = "good"\nset = { weights = "random" }\n'


@pytest.fixture
def study(
    tmp_path: Path, write_site: Callable[..., Path], here: Here, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Give a study's command with a good arm and this one; the one sentence it ends with."""
    north, east = (write_site(tmp_path, name, 8) for name in ("north", "east"))
    table = (east / "labels.csv").read_text(encoding="utf-8")

    def trained(*_: object) -> None:
        pytest.fail("an arm was trained")

    monkeypatch.setattr(cells, "simulate_in_own_process", trained)

    def run(arm: str, *more: str, east_table: str = table) -> str:
        (east / "labels.csv").write_text(east_table, encoding="utf-8")
        (tmp_path / "arms.toml").write_text(f"{GOOD}[[arm]]\n{arm}\n", encoding="utf-8")
        settings = [word for one in (*TINY, *more) for word in ("--set", one)]
        out = tmp_path / "study"
        code, _, err = here(
            "study", north, east, "--arms", tmp_path / "arms.toml", "--out", out,
            "--folds", 2, "--repeats", 1, *settings,
        )  # fmt: skip
        assert code == 2, err
        assert not (out / "plan.json").exists()
        return err.splitlines()[-1].removeprefix("fedthaw: ")

    return run


def test_weights_that_are_not_there(study: Callable[..., str]) -> None:
    said = study('name = "bad"\nset = { weights = "nope.pt" }')
    assert said.startswith("Arm 'bad': There is no weights file at nope.pt;")
    assert said.endswith(" No arm has been trained.")


def test_weights_that_do_not_load(study: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "page.safetensors").write_text("<html>a proxy's notice</html>")
    said = study(f'name = "bad"\nset = {{ weights = "{tmp_path}/page.safetensors" }}')
    assert said.startswith("Arm 'bad': ")
    assert "page.safetensors" in said


def test_a_budget_in_which_nothing_fits(study: Callable[..., str]) -> None:
    said = study(
        'name = "bad"\nset = { weights = "random", schedule = "dynamics", round-budget = 0.0001 }'
    )
    assert said.startswith("Arm 'bad': round-budget is 0.0001, in which no unit of micro fits")
    assert said.endswith(" No arm has been trained.")


def test_settings_that_contradict_each_other(study: Callable[..., str]) -> None:
    said = study('name = "bad"\nset = { weights = "random", min-sites = 0 }')
    assert "bad" in said
    assert "min-sites" in said


def test_a_site_without_patients_of_a_class(study: Callable[..., str]) -> None:
    spoilt = "patient,file,outcome\n" + "".join(f"P{n},east-{n}-0.png,sick\n" for n in range(8))
    said = study('name = "other"\nset = { weights = "random" }\n', east_table=spoilt)
    assert said.startswith("Arm 'good': Site 'east' has no negative patient;")


def test_too_few_patients_for_the_folds(study: Callable[..., str]) -> None:
    """Seven patients split into training, validation and no fold; not into two folds too."""
    few = "patient,file,outcome\n" + "".join(
        f"P{n},east-{n}-0.png,{'sick' if n < 2 else 'well'}\n" for n in range(8)
    )
    said = study('name = "other"\nset = { weights = "random" }\n', east_table=few)
    assert said.startswith("Arm 'good': Site 'east' has 1 positive patients besides those of the")


def test_what_is_wrong_with_a_folder_is_said_of_all_folders_at_once(
    here: Here, tmp_path: Path, write_site: Callable[..., Path]
) -> None:
    """`simulate` reads no image before it knows."""
    north = write_site(tmp_path, "north", 4, more='cache = "labels.csv/cache"')
    east = write_site(tmp_path, "east", 4)
    settings = (east / "site.toml").read_text(encoding="utf-8")
    (east / "site.toml").write_text(settings.replace('"cpu"', '"cuda:77"'), encoding="utf-8")
    words = [word for one in (*TINY, "weights=random") for word in ("--set", one)]
    code, _, err = here("simulate", north, east, *words, "--out", tmp_path / "run")
    assert code == 2
    assert "labels.csv/cache of north cannot be written" in err
    assert "cuda:77" in err
    assert err.count("\n") == 1
    assert not list(tmp_path.rglob("*.safetensors"))


def test_the_same_images_at_two_sites_are_warned_of_once(
    tmp_path: Path, write_site: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready, "_ask", lambda _: None)
    sites = {name: write_site(tmp_path, name, 8, seed=0) for name in ("north", "east")}
    plan = StudyPlan((Arm("one"), Arm("other", {"rounds": 2})), folds=2, repeats=2)
    heard: list[Event] = []
    with listening(heard.append):
        settings: dict[str, Scalar] = {"backbone": "micro", "weights": "random"}
        ready.require_ready(SimulatedStudy(plan, sites, settings), tmp_path / "study")
    (warned,) = (event for event in heard if isinstance(event, Warned))
    assert "image files are at both east and north." in warned.text
