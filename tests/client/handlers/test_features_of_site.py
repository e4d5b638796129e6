"""A site's messages with kept features: what is computed when, and that results stay the same."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from client.data.dataset import Sample
from client.exchange import rebuild_model
from client.features.measure import measure_costs
from client.features.prefix import Prefix
from client.features.worth import Cost
from client.scores import KeptScore, Logits, score_patients
from client.workspace import Workspace, training_samples
from shared.outcome.outcome import Outcome
from shared.run.events import Event, SiteBusy, SiteNote, listening
from shared.settings.config import RunConfig

OpenSite = Callable[..., tuple[Workspace, RunConfig]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often costs were measured and the frozen stages run; computing seems dear."""
    counts: Counter[str] = Counter()
    features = Prefix.features

    def counted(self: Prefix, images: torch.Tensor, boundaries: Any) -> Any:
        counts["prefix"] += 1
        return features(self, images, boundaries)

    def measured(*given: Any) -> dict[str, Cost]:
        counts["measured"] += 1
        costs = measure_costs(*given)
        return {s: Cost(1000.0, c.write, c.read, c.bytes) for s, c in costs.items()}

    monkeypatch.setattr(Prefix, "features", counted)
    monkeypatch.setattr("client.features.keep.measure_costs", measured)
    return counts


def folder_of(workspace: Workspace) -> Path:
    return workspace.parts[0].features.root


def reply_bytes(reply: Any) -> Any:
    return reply.loss, reply.histogram, {key: reply.delta[key].data for key in reply.delta}


def test_each_purpose_is_measured_once_and_later_rounds_compute_nothing_frozen(
    requests: SimpleNamespace, open_site: OpenSite, calls: Counter[str]
) -> None:
    workspace, config = open_site(probe_rounds=2, local_epochs=9)
    requests.train(workspace, config, 1)
    assert calls["measured"] == 2
    after_first = calls["prefix"]
    for number in (2, 3, 4, 5, 6):  # all boundaries' features were computed at once
        requests.train(workspace, config, number)
        requests.evaluate(workspace, config, "validation", after=number)
    assert calls == {"measured": 2, "prefix": after_first}


def test_rounds_that_augment_anew_keep_nothing_to_train_from(
    requests: SimpleNamespace, open_site: OpenSite, calls: Counter[str]
) -> None:
    workspace, config = open_site(local_epochs=9)
    requests.train(workspace, config, 3)
    decided = {k.boundary for k in workspace.feature_decisions if k.storage == "float16"}
    assert decided == set()
    assert calls["measured"] == 1  # what is evaluated


def test_a_site_that_joins_late_or_is_started_again(
    requests: SimpleNamespace, open_site: OpenSite, calls: Counter[str]
) -> None:
    workspace, config = open_site(local_epochs=9, augmentation="none")
    late = requests.train(workspace, config, 3)
    assert calls["measured"] == 2
    decided = {k.boundary for k in workspace.feature_decisions if k.storage == "float16"}
    assert decided == {"layer2", "layer3"}
    counted = dict(calls)
    again = Workspace(workspace.name, workspace.parts, workspace.base, workspace.device)
    assert reply_bytes(requests.train(again, config, 3)) == reply_bytes(late)
    assert dict(calls) == counted


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_round_is_the_same_kept_or_computed(
    requests: SimpleNamespace, open_site: OpenSite, calls: Counter[str], number: int
) -> None:
    """With an owner who allows no space, one who does, and with all of it lost in between."""
    workspace, config = open_site(local_epochs=9)
    store = workspace.parts[0].features
    store.limit = 0
    computed = reply_bytes(requests.train(workspace, config, number))
    assert not store.root.exists()
    assert calls["measured"] == 0
    store.limit = 10**9
    kept = Workspace(workspace.name, workspace.parts, workspace.base, workspace.device)
    assert reply_bytes(requests.train(kept, config, number)) == computed
    assert list(store.root.rglob("*.safetensors"))
    assert reply_bytes(requests.train(kept, config, number)) == computed
    shutil.rmtree(store.root)
    assert reply_bytes(requests.train(kept, config, number)) == computed


@pytest.mark.parametrize("after", [0, 2, 4])
def test_evaluation_from_features_is_evaluation_from_images(
    requests: SimpleNamespace, open_site: OpenSite, calls: Counter[str], after: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    logits: list[list[float]] = []

    def listened(samples: Sequence[Sample], found: Logits, outcome: Outcome) -> list[KeptScore]:
        logits.append(list(found))
        return score_patients(samples, found, outcome)

    monkeypatch.setattr("client.evaluate.score_patients", listened)
    workspace, config = open_site()
    off, without = open_site(feature_cache="off")
    one = requests.evaluate(workspace, config, "validation", after=after)
    assert calls["prefix"] > 0
    counted = calls["prefix"]
    other = requests.evaluate(off, without, "validation", after=after)
    assert calls["prefix"] == counted
    assert one.histogram == other.histogram
    assert logits[0] == pytest.approx(logits[1], abs=1e-5, rel=1e-5)


def test_all_patients_are_evaluated_from_images(
    requests: SimpleNamespace, open_site: OpenSite, calls: Counter[str]
) -> None:
    """It happens once, and an external site's owner has asked for nothing to be kept."""
    workspace, config = open_site()
    requests.evaluate(workspace, config, "all", after=4)
    assert not calls
    assert not folder_of(workspace).exists()


def test_a_stage_that_is_not_the_bases_is_no_key_to_features(
    requests: SimpleNamespace, open_site: OpenSite, calls: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def damaged(workspace: Workspace, config: RunConfig, **given: Any) -> Any:
        model = rebuild_model(workspace, config, **given)
        model.state_dict()["bn1.running_var"][0] *= 1 + 1e-6
        return model

    monkeypatch.setattr("client.handlers.train.rebuild_model", damaged)
    workspace, config = open_site()
    requests.train(workspace, config, 1)
    assert not calls
    assert not folder_of(workspace).exists()


def test_the_owner_sees_how_the_computing_goes(
    requests: SimpleNamespace, open_site: OpenSite, calls: Counter[str]
) -> None:
    workspace, config = open_site(local_epochs=9)
    events: list[Event] = []
    with listening(events.append):
        requests.train(workspace, config, 1)
    busy = [(e.task, e.steps) for e in events if isinstance(e, SiteBusy)]
    samples = training_samples(workspace, config)
    assert ("computing features", len(samples.train)) in busy
    assert ("computing features", len(samples.validation)) in busy


def test_a_disk_that_is_full_is_a_note_and_the_round_goes_on(
    requests: SimpleNamespace, open_site: OpenSite, calls: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    workspace, config = open_site(local_epochs=9)
    computed = reply_bytes(requests.train(workspace, config, 1))
    shutil.rmtree(folder_of(workspace))
    monkeypatch.setattr("client.features.store.write_kept", full)
    again = Workspace(workspace.name, workspace.parts, workspace.base, workspace.device)
    events: list[Event] = []
    with listening(events.append):
        assert reply_bytes(requests.train(again, config, 1)) == computed
    notes = [event.text for event in events if isinstance(event, SiteNote)]
    assert len(notes) == 2  # of the validation images and of the training images
    assert all("Make room in the cache" in note for note in notes)


def test_the_cache_off_leaves_each_draw_its_own_augmentation(
    requests: SimpleNamespace, open_site: OpenSite, calls: Counter[str]
) -> None:
    workspace, config = open_site(feature_cache="off")
    requests.train(workspace, config, 1)
    assert not calls
    assert not folder_of(workspace).exists()
