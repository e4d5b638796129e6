"""[policy] of site.toml, and which runs keep to it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.policy.rules import Policy, policy_keys
from client.policy.settings import refused_settings
from client.settings import load_site, read_policy
from shared.errors import SiteError
from shared.settings.config import RunConfig
from shared.settings.overrides import parse_overrides

ROOT = Path(__file__).parents[3]


@pytest.fixture
def site_with(tmp_path: Path, write_site: Callable[..., Path]) -> Callable[[str], Path]:
    def make(rules: str) -> Path:
        return write_site(tmp_path, "north", 2, policy=rules)

    return make


def test_the_default_settings_keep_to_the_default_rules() -> None:
    assert refused_settings(Policy(), RunConfig()) == []
    assert refused_settings(Policy(), RunConfig(folds=5, fold=4, seed=5)) == []


def test_the_arms_of_the_paper_keep_to_the_default_rules() -> None:
    import tomllib

    text = (ROOT / "server" / "study" / "arms" / "paper.toml").read_text(encoding="utf-8")
    for arm in tomllib.loads(text)["arm"]:
        words = [f"{key}={value}" for key, value in arm.get("set", {}).items()]
        settings = {key.replace("-", "_"): value for key, value in parse_overrides(words).items()}
        assert refused_settings(Policy(), RunConfig(**settings)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rules", "settings", "sentence"),
    [
        ({}, {"optimizer": "sgd"},
         "optimizers is adamw, adamw8bit and the run asks for optimizer=sgd"),
        ({"schedules": ("probe",)}, {},
         "schedules is probe and the run asks for schedule=adaptive"),
        ({"batch_norms": ("local", "frozen")}, {},
         "batch-norms is local, frozen and the run asks for batch-norm=average"),
        ({"samplings": ("balanced",)}, {"sampling": "shuffle"},
         "samplings is balanced and the run asks for sampling=shuffle"),
        ({"augmentations": ("recipe",), "unaugmented_statistics": True}, {"augmentation": "none"},
         "augmentations is recipe and the run asks for augmentation=none"),
        ({}, {"augmentation": "none"},
         "unaugmented-statistics is false and the run asks for batch-norm=average with "
         "augmentation=none"),
        ({}, {"schedule": "dual", "backbone": "tiny"},
         "unaugmented-statistics is false and the run asks for batch-norm=average with "
         "schedule=dual"),
        ({"least_dropout": 0.1}, {"dropout": 0.0},
         "least-dropout is 0.1 and the run asks for dropout=0"),
        ({}, {"folds": 21}, "most-folds is 20 and the run asks for folds=21"),
        ({}, {"validation_fraction": 0.01},
         "least-validation is 0.1 and the run asks for validation-fraction=0.01"),
        ({"most_validation": 0.3}, {"validation_fraction": 0.4},
         "most-validation is 0.3 and the run asks for validation-fraction=0.4"),
        ({}, {"image_size": 2048}, "most-image-size is 1024 and the run asks for image-size=2048"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_rule_and_both_values(
    rules: dict[str, object], settings: dict[str, object], sentence: str
) -> None:
    policy = dataclasses.replace(Policy(), **rules)  # type: ignore[arg-type]
    (refusal,) = refused_settings(policy, RunConfig(**settings))  # type: ignore[arg-type]
    assert refusal.shareable() == refusal.full() == sentence


@pytest.mark.parametrize(
    "settings", [{"schedule": "probe"}, {"batch_norm": "local"}, {"rounds": 0}], ids=str
)
def test_where_no_statistics_leave_images_may_stay_as_they_are(settings: dict[str, object]) -> None:
    assert refused_settings(Policy(), RunConfig(augmentation="none", **settings)) == []  # type: ignore[arg-type]


def test_all_that_is_refused_is_named_at_once() -> None:
    config = RunConfig(optimizer="sgd", folds=100, image_size=4096)
    assert [one.rule for one in refused_settings(Policy(), config)] == [
        "optimizers", "most-folds", "most-image-size",
    ]  # fmt: skip


def test_every_rule_is_read_from_site_toml(site_with: Callable[[str], Path]) -> None:
    given_values = {
        "whole": "7", "count": "7", "share": "0.25", "hours": "1.5", "gigabytes": "2",
        "flag": "true",
    }  # fmt: skip
    lists = {
        "optimizers": ("sgd",), "schedules": ("probe", "full"), "batch-norms": ("local",),
        "samplings": ("shuffle",), "augmentations": ("none",),
    }  # fmt: skip
    lines = []
    for key, kind in policy_keys().items():
        value = str(list(lists[key])).replace("'", '"') if key in lists else given_values[kind]
        lines.append(f"{key} = {value}")
    folder = site_with("\n".join(lines))
    policy = read_policy(folder)
    assert policy == load_site(folder).policy
    for key, kind in policy_keys().items():
        value = getattr(policy, key.replace("-", "_"))
        expected = {"whole": 7, "count": 7, "share": 0.25, "hours": 1.5, "gigabytes": 2.0}
        assert value == (lists[key] if key in lists else expected.get(kind, True)), key
        assert type(value) is type(getattr(Policy(), key.replace("-", "_"))), key
    assert policy.explicit == policy_keys().keys()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "least-steps = 0",
            "least-steps in [policy] is 0; it must be an integer of at least 1",
        ),
        ("least-steps = 2.5", "it must be an integer"),
        ("most-folds = -1", "it must be an integer, 0 or more"),
        ("most-folds = true", "it must be an integer"),
        ("largest-batch = 1.5", "it must be a number from 0 to 1"),
        ("hours-per-day = -2", "it must be a number of hours, 0 for no limit"),
        ("hours-per-day = nan", "it must be a number of hours"),
        ("external-evaluation = 1", "it must be true or false"),
        (
            'optimizers = "adamw"',
            "it must be a list that is not empty, of 'adamw', 'adamw8bit', 'sgd'",
        ),
        ("optimizers = []", "it must be a list that is not empty"),
        ('optimizers = ["adam"]', "of 'adamw', 'adamw8bit', 'sgd'"),
        ("optimizers = [[]]", "of 'adamw', 'adamw8bit', 'sgd'"),
        ("least-stepz = 2", "did you mean 'least-steps'?"),
    ],
)
def test_a_rule_that_is_none(site_with: Callable[[str], Path], line: str, said: str) -> None:
    with pytest.raises(SiteError, match=re.escape(said)):
        load_site(site_with(line))


@given(st.sampled_from(sorted(policy_keys())), st.booleans())
def test_in_a_simulation_only_rules_of_site_toml_bind(key: str, explicit: bool) -> None:
    policy = dataclasses.replace(Policy(), explicit=frozenset({key} if explicit else ()))
    assert policy.binds(key, deployed=True)
    assert policy.binds(key, deployed=False) == explicit


def test_the_page_of_a_site_has_a_line_for_every_rule_with_its_default() -> None:
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    section = page.split("## All of site.toml")[1]
    values: dict[str, object] = {}
    for key in policy_keys():
        (line,) = re.findall(rf"^{key} = (.+?) *(?:#.*)?$", section, re.M)
        import tomllib

        value = tomllib.loads(f"v = {line}")["v"]
        values[key] = tuple(value) if isinstance(value, list) else value
    expected = {key: getattr(Policy(), key.replace("-", "_")) for key in policy_keys()}
    assert values == expected
