"""The rules protect from others: a simulation says what they would refuse, and goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from client.handlers.check import check_external, require_planned
from client.handlers.describe import describe_site
from client.policy.refusal import PolicyError
from client.workspace import Workspace, open_workspace, training_samples
from shared.errors import ProtocolError
from shared.run.events import Event, SiteNote, listening
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_of_units, plan_round

Open = Callable[..., tuple[Workspace, RunConfig]]


@pytest.fixture
def open_folder(
    tmp_path: Path, write_site: Callable[..., Path], micro_config: Callable[..., RunConfig]
) -> Open:
    def make(
        rules: str = "", patients: int = 40, *, deployed: bool = False, **changes: object
    ) -> tuple[Workspace, RunConfig]:
        folder = write_site(tmp_path, "north", patients, policy=rules)
        config = micro_config(**changes)
        node = {"site": str(folder), "deployed": deployed, "keep": str(tmp_path / "kept")}
        return open_workspace(node, config), config

    return make


def notes(workspace: Workspace, config: RunConfig) -> list[str]:
    heard: list[Event] = []
    with listening(heard.append):
        describe_site(workspace, config, "run-1")
    return [one.text for one in heard if isinstance(one, SiteNote)]


def test_nothing_is_said_of_a_run_that_a_deployed_site_would_take(open_folder: Open) -> None:
    assert notes(*open_folder()) == []


def test_what_a_deployed_site_would_refuse_is_one_line(
    open_folder: Open, requests: SimpleNamespace
) -> None:
    workspace, config = open_folder(optimizer="sgd", batch_size=1000)
    assert notes(workspace, config) == [
        "Deployed, this site would refuse the run: optimizers is adamw, adamw8bit and the run asks "
        "for optimizer=sgd; least-steps is 2 and the run asks for batch-size=1000 (a round here "
        "has 1); largest-batch is 0.6 and the run asks for batch-size=1000 (a step would take 100% "
        "of the training images)."
    ]
    # Said at the beginning of a run alone, which goes on.
    assert requests.train(workspace, config, 1).steps == 1


def test_a_site_that_is_too_small_for_blocks_hears_of_it(open_folder: Open) -> None:
    (note,) = notes(*open_folder(patients=8))
    assert "least-difference is too large for the patients here" in note


def test_a_rule_of_site_toml_binds(open_folder: Open) -> None:
    workspace, config = open_folder("largest-batch = 0.5", batch_size=1000, optimizer="sgd")
    with pytest.raises(PolicyError, match=r"largest-batch is 0\.5") as caught:
        describe_site(workspace, config, "run-1")
    assert [one.rule for one in caught.value.refusals] == ["largest-batch"]


def test_with_the_rule_in_site_toml_both_split_alike(open_folder: Open, tmp_path: Path) -> None:
    simulated, config = open_folder("least-difference = 4", folds=3, fold=1)
    kept = tmp_path / "kept" / "dealt.json"
    node = {"site": str(simulated.parts[0].settings.folder), "deployed": True,
            "keep": str(kept.parent)}  # fmt: skip
    deployed = open_workspace(node, config, refresh=True)
    for part in ("train", "validation", "test"):
        digests = [
            [sample.radiograph.digest for sample in getattr(training_samples(one, config), part)]
            for one in (simulated, deployed)
        ]
        assert digests[0] == digests[1]
    assert kept.exists()


def test_all_patients_are_evaluated_by_their_owner_alone(
    open_folder: Open, requests: SimpleNamespace
) -> None:
    workspace, config = open_folder()
    assert requests.evaluate(workspace, config, "all", 1).histogram.total_positives == 20
    deployed, _ = (
        open_workspace(
            {"site": str(workspace.parts[0].settings.folder), "deployed": True},
            config,
            refresh=True,
        ),
        config,
    )
    with pytest.raises(PolicyError, match="external-evaluation is false"):
        requests.evaluate(deployed, config, "all", 1)
    check_external(workspace)


def test_a_deployed_site_trains_as_its_settings_say(open_folder: Open) -> None:
    workspace, config = open_folder(deployed=True)
    for number in range(1, 6):
        require_planned(workspace, config, plan_round(config, number))
    # Another learning rate, other stages, a round more: approved by nobody.
    other = RunConfig(**(vars(config) | {"lr_head": 1.0, "schedule": "full", "rounds": 9}))
    for number in (2, 5, 9):
        with pytest.raises(ProtocolError, match="not that of the run's settings"):
            require_planned(workspace, config, plan_round(other, number))


def test_a_deployed_site_holds_a_chosen_plan_to_the_budget(open_folder: Open) -> None:
    workspace, config = open_folder(
        deployed=True, schedule="dynamics", freeze_rate=0.5, round_budget=0.8
    )
    for units in ({"layer1.0", "layer4.0"}, {"layer2.0"}, set[str]()):
        require_planned(workspace, config, plan_of_units(config, 3, {*units, "head"}, units))
    # More units, the first one, more of the weights than the owner has approved; not even the head.
    for units in (
        {"layer1.0", "layer2.0", "layer3.0", "head"},
        {"stem", "head"},
        {"layer3.0", "layer4.0", "head"},
        {"layer1.0"},
    ):
        with pytest.raises(ProtocolError, match="not that of the run's settings"):
            require_planned(workspace, config, plan_of_units(config, 3, units, ()))


def test_a_deployed_site_holds_a_run_that_may_end_early_to_its_cuts(open_folder: Open) -> None:
    workspace, config = open_folder(
        deployed=True, schedule="adaptive", patience=2, probe_rounds=2, rounds=8
    )
    # Fine-tuning may be cut short after four rounds: it then is half-way, in a cycle of four.
    for number, position, length in ((6, 3, 8), (7, 4, 8), (7, 2, 4), (8, 3, 4)):
        plan = replace(plan_round(config, number), position=position, length=length)
        require_planned(workspace, config, plan)
    for number, position, length in ((6, 1, 4), (7, 3, 4), (8, 2, 4), (7, 2, 5), (2, 1, 4)):
        plan = replace(plan_round(config, number), position=position, length=length)
        with pytest.raises(ProtocolError, match="not that of the run's settings"):
            require_planned(workspace, config, plan)


def test_threads_are_capped(open_folder: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("torch.set_num_threads", asked.append)
    open_folder("most-threads = 3", threads=8)
    assert asked == [3]
