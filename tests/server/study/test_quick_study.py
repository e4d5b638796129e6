"""`fedthaw study --quick`: small settings for all arms alike, and results that say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from server.local.small import small_settings
from server.local.small_study import small_study
from server.report.study.data import read_study_report
from server.report.study.outcome import study_outcome
from server.results.plan import Arm
from server.study.document import read_study
from server.study.plan import read_arms
from shared.errors import ConfigError
from shared.run.finished import read_finished_run
from shared.settings.parse import parse_run_config
from shared.settings.setting import Scalar

Here = Callable[..., tuple[int, str, str]]
FULL = Arm("full", {"schedule": "full"})
PLAIN = Arm("progressive")


@pytest.mark.parametrize("given", [{}, {"rounds": 3}, {"unfreeze-layer4": 0.02}])
def test_each_arm_is_what_a_quick_run_of_its_settings_is(given: Mapping[str, Scalar]) -> None:
    settings = small_study((PLAIN, FULL), given)
    for arm in (PLAIN, FULL):
        ours = parse_run_config({**settings, **arm.settings})
        assert ours == parse_run_config(small_settings({**given, **arm.settings}))


def test_what_all_arms_set_is_theirs() -> None:
    arms = [Arm(name, {"backbone": name, "rounds": n}) for n, name in
            enumerate(("resnet18", "densenet121"), 2)]  # fmt: skip
    configs = [parse_run_config({**small_study(arms, {}), **arm.settings}) for arm in arms]
    assert [(one.backbone, one.rounds, one.weights) for one in configs] == [
        ("resnet18", 2, "random"), ("densenet121", 3, "random"),
    ]  # fmt: skip
    assert len({(one.image_size, one.thaw_at.count(",")) for one in configs}) == 1
    pretrained = [Arm(name, {"weights": name}) for name in ("/one.pt", "/two.pt")]
    settings = small_study(pretrained, {})
    assert "weights" not in settings
    assert settings["rounds"] == 0


@pytest.mark.parametrize(
    ("arms", "given", "said"),
    [
        (read_arms("paper"), {}, "'progressive, imagenet' starts from pretrained weights"),
        ((PLAIN, Arm("own", {"weights": "random"})), {"weights": "/a.pt"},
         "'own' starts from untrained weights"),
        ((PLAIN, Arm("long", {"rounds": 30})), {}, "'long' sets rounds, which --quick makes small"),
        ((PLAIN, Arm("late", {"unfreeze-layer4": 0.5})), {}, "'late' sets thaw-at"),
        ((PLAIN, FULL), {"weights": "/a.pt"}, "alike.*--set rounds=4"),
        ((Arm("by distance", {"schedule": "dynamics"}),
          Arm("random", {"schedule": "dynamics", "select": "random", "round-budget": 0.5})),
         {"weights": "/a.pt"}, "'by distance' and 'random' would be trained alike"),
        ((PLAIN, Arm("patient", {"schedule": "adaptive", "patience": 5, "end": "last"})),
         {"weights": "/a.pt"}, "alike"),
    ],
)  # fmt: skip
def test_arms_that_it_would_make_unlike_or_alike_are_refused(
    arms: tuple[Arm, ...], given: Mapping[str, Scalar], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        small_study(arms, given)


@pytest.mark.parametrize("settings", [{"schedule": "logistic"}, {"weight-decay": 0.1}])
def test_arms_that_differ_in_the_head_are_compared(settings: Mapping[str, Scalar]) -> None:
    small = small_study((PLAIN, Arm("other", settings)), {"weights": "/a.pt"})
    assert small["rounds"] == 0


@pytest.mark.parametrize("given", [{"weights": "/a.pt", "rounds": 4}, {"rounds": 9}])
def test_what_is_given_for_all_arms_lifts_the_refusal(given: Mapping[str, Scalar]) -> None:
    arms = (PLAIN, FULL, Arm("long", {"rounds": 30}))
    assert small_study(arms, given)["rounds"] == given["rounds"]


def test_page_tables_and_runs_say_what_it_is(
    here: Here, write_site: Callable[..., Path], tmp_path: Path, runs: list[str]
) -> None:
    sites = [write_site(tmp_path, name, 8, seed=n) for n, name in enumerate(("north", "east"))]
    out = tmp_path / "study"
    small = [f"--set={one}" for one in ("image-size=32", "rounds=1", "probe-rounds=0")]
    code, printed, err = here("study", *sites, "--quick", "--out", out, *small)
    assert code == 0, err
    arms = [arm.name for arm in read_arms("schedules")]
    assert runs == [f"{arm} 0 {fold}" for fold in range(2) for arm in arms]
    sentence = "A quick look, not a result: small images, few rounds, 1 repeat of 2 folds."
    assert err.startswith(sentence)
    assert sentence in " ".join(printed.split())
    assert sentence in (out / "study.md").read_text()
    assert sentence in (out / "study.tex").read_text()
    assert sentence in str(study_outcome(read_study_report(out)))
    assert read_study(out).plan.quick
    run = out / "adaptive-thawing" / "repeat-0-fold-0"
    assert read_finished_run(run).stored.config.quick
    # The same command goes on with it; one that is no quick look does not.
    assert here("study", *sites, "--quick", "--out", out, *small)[0] == 0
    given = [f"--set={key}={value}" for key, value in small_settings({}).items()]
    code, _, err = here(
        "study", *sites, "--out", out, *given, *small, "--arms", "schedules", "--folds", 2,
        "--repeats", 1,
    )  # fmt: skip
    assert (code, "holds a quick look; choose another folder" in err) == (2, True)


def test_a_coordinator_has_none(here: Here, tmp_path: Path) -> None:
    code, _, err = here("study", "--quick", "--home", tmp_path)
    assert code == 2
    assert "--quick, --jobs and --out are for simulated studies" in err
