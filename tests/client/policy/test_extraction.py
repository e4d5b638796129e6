"""One patient extracted by settings alone, from code that its site has approved.

The attack of the security review: rounds of one full-batch gradient, and two folds whose training
patients differ by one. It is run against the rules of before (all of them off) and succeeds, so
that a refusal below is one of something that works.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from client.data.dataset import Sample
from client.handlers.describe import describe_site
from client.policy.refusal import PolicyError
from client.workspace import Workspace, training_samples
from shared.protocol.train import TrainReply
from shared.settings.config import RunConfig
from shared.settings.schedule import total_rounds

ATTACK = {
    "optimizer": "sgd", "batch_size": 100_000, "sampling": "shuffle", "augmentation": "none",
    "dropout": 0.0, "schedule": "full", "batch_norm": "frozen", "feature_cache": "off",
    "precision": "float32", "lr_probe": 1.0, "folds": 100,
}  # fmt: skip
ALL_OFF = {
    "least-training-patients": "1", "least-held-out-patients": "1", "least-difference": "1",
    "optimizers": '["adamw", "sgd"]', "least-steps": "1", "largest-batch": "1.0",
    "most-folds": "0",
}  # fmt: skip
"""What a site enforced before there were rules."""

Open = Callable[..., tuple[Workspace, RunConfig]]


@pytest.fixture
def open_hospital(open_deployed: Open) -> Open:
    """A site of 40 patients under some rules, and the settings of the attack."""

    def make(rules: dict[str, str], **changes: object) -> tuple[Workspace, RunConfig]:
        lines = "\n".join(f"{key} = {value}" for key, value in rules.items())
        return open_deployed(lines, **(ATTACK | changes))

    return make


def gradient_of(reply: TrainReply, rate: float) -> NDArray[np.float64]:
    """The sum over images of the gradient of the head, which one step of plain SGD gives away."""
    head = np.concatenate([reply.delta[key].numpy().ravel() for key in ("fc.weight", "fc.bias")])
    return -head.astype(np.float64) * reply.images / rate


def cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def features_of(
    requests: SimpleNamespace, workspace: Workspace, config: RunConfig, samples: list[Sample]
) -> NDArray[np.float64]:
    """The oracle: what the received network makes of images before its head; (N, F)."""
    model = requests.received(workspace, config, ("head",)).eval()
    seen: list[torch.Tensor] = []
    hook = model.fc.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        model(torch.stack([sample.load() for sample in samples]))
    hook.remove()
    return seen[0].double().numpy()


def differing_by_one(workspace: Workspace, config: RunConfig) -> tuple[list[int], Sample]:
    """Two folds whose training patients differ by one, and that patient's only image."""
    (part,) = workspace.parts
    trained = [part.split(replace(config, fold=fold)).train for fold in range(config.folds)]
    for more, less in itertools.permutations(range(config.folds), 2):
        own, theirs = (trained[fold].patients().keys() for fold in (more, less))
        extra = part.samples(trained[more].subset(own - theirs))
        if theirs <= own and len(own - theirs) == len(extra) == 1:
            return [more, less], extra[0]
    raise AssertionError("no two folds differ by one patient")


def test_without_rules_one_patients_features_are_extracted(
    open_hospital: Open, requests: SimpleNamespace
) -> None:
    folds, victim = differing_by_one(*open_hospital(ALL_OFF))
    sums = []
    for fold in folds:
        workspace, config = open_hospital(ALL_OFF, fold=fold)
        reply = requests.train(workspace, config, 1, f"run-{fold}")
        assert reply.steps == 1
        sums.append(gradient_of(reply, ATTACK["lr_probe"]))  # type: ignore[arg-type]
    difference = sums[0] - sums[1]
    (features,) = features_of(requests, workspace, config, [victim])
    # probability minus outcome, times the features: both are had
    assert abs(cosine(difference[:-1], features)) == pytest.approx(1.0, abs=1e-5)
    residual = difference[-1]
    assert (residual > 0) == (victim.radiograph.label == 0)
    np.testing.assert_allclose(difference[:-1] / residual, features, rtol=1e-3, atol=1e-4)


def test_without_rules_a_test_fold_of_one_tells_outcome_and_score(
    open_hospital: Open, requests: SimpleNamespace
) -> None:
    workspace, config = open_hospital(ALL_OFF)
    (part,) = workspace.parts
    tests = [part.split(replace(config, fold=fold)).test.patients() for fold in range(100)]
    fold = [len(test) for test in tests].index(1)
    workspace, config = open_hospital(ALL_OFF, fold=fold)
    histogram = requests.evaluate(workspace, config, "test", total_rounds(config)).histogram
    assert histogram.total_positives + histogram.total_negatives == 1
    assert [histogram.total_positives] == list(tests[fold].values())


def test_with_the_rules_both_are_refused_before_anything_is_computed(
    open_hospital: Open, requests: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("something was computed")

    workspace, config = open_hospital({})
    for name in ("client.handlers.train.rebuild_model", "client.handlers.evaluate.rebuild_model"):
        monkeypatch.setattr(name, never)
    for ask in (
        lambda: describe_site(workspace, config, "run-1"),
        lambda: requests.train(workspace, config, 1),
        lambda: requests.evaluate(workspace, config, "test", 1),
        lambda: requests.evaluate(workspace, config, "validation", 1),
    ):
        with pytest.raises(PolicyError) as caught:
            ask()
        assert {one.rule for one in caught.value.refusals} == {
            "optimizers", "most-folds", "least-steps", "largest-batch",
        }  # fmt: skip
        sentence = caught.value.shareable
        assert "optimizers is adamw, adamw8bit and the run asks for optimizer=sgd" in sentence
        assert "batch-size=100000" in sentence
        for count in (len(part) for part in vars(training_samples(workspace, config)).values()):
            assert f" {count} " not in f" {sentence} " or count == 0


@pytest.mark.parametrize("kept", ["optimizers", "least-steps", "largest-batch", "most-folds"])
def test_each_rule_refuses_it_alone(open_hospital: Open, kept: str) -> None:
    rules = {key: value for key, value in ALL_OFF.items() if key != kept}
    workspace, config = open_hospital(rules)
    with pytest.raises(PolicyError, match=kept):
        describe_site(workspace, config, "run-1")


def test_a_logistic_regression_is_for_sites_that_allow_it_by_name(open_hospital: Open) -> None:
    """It takes all images at once, so the rules about steps say nothing of it."""
    settings = {"schedule": "logistic", "optimizer": "adamw", "batch_size": 8, "folds": 0}
    workspace, config = open_hospital({}, **settings)
    with pytest.raises(PolicyError) as caught:
        describe_site(workspace, config, "run-1")
    assert caught.value.shareable.endswith(
        "schedules is progressive, full, probe, dual, dynamics, adaptive and the run asks "
        "for schedule=logistic"
    )
    workspace, config = open_hospital({"schedules": '["logistic"]'}, **settings | {"batch_size": 9})
    assert describe_site(workspace, config, "run-1").images > 0
    few = {"schedules": '["logistic"]', "least-training-patients": "100"}
    workspace, config = open_hospital(few, **settings)
    with pytest.raises(PolicyError, match="least-training-patients is 100"):
        describe_site(workspace, config, "run-1")


def test_where_all_other_rules_are_off_no_two_runs_differ_by_few_patients(
    open_hospital: Open,
) -> None:
    """Whatever folds, fractions and seeds are asked for."""
    rules = {key: value for key, value in ALL_OFF.items() if key != "least-difference"}
    workspace, config = open_hospital(rules)
    (part,) = workspace.parts
    sets: set[frozenset[str]] = set()
    for folds, fraction, seed in itertools.product((0, 2, 7, 100), (0.01, 0.2, 0.5), (0, 1)):
        for fold in range(min(folds, 3) or 1):
            changes: dict[str, Any] = {
                "folds": folds,
                "fold": fold,
                "validation_fraction": fraction,
                "seed": seed,
            }
            split = part.split(replace(config, **changes))
            sets |= {frozenset(one.patients()) for one in vars(split).values()}
    assert len(sets) > 10
    for one, other in itertools.product(sets, repeat=2):
        assert len(one - other) == 0 or len(one - other) >= 5
    assert min(len(one) for one in sets if one) >= 5


def test_a_test_fold_of_few_is_refused(open_hospital: Open) -> None:
    rules = ALL_OFF | {"least-held-out-patients": "5"}
    workspace, config = open_hospital(rules, folds=20)
    with pytest.raises(PolicyError, match="least-held-out-patients is 5") as caught:
        describe_site(workspace, config, "run-1")
    assert caught.value.shareable.endswith("not allow this: least-held-out-patients is 5")


def test_few_training_patients_are_refused(open_hospital: Open) -> None:
    rules = ALL_OFF | {"least-training-patients": "39"}
    workspace, config = open_hospital(rules, folds=0)
    said = r"least-training-patients is 39 \(here are 3\d\)"
    with pytest.raises(PolicyError, match=said) as caught:
        describe_site(workspace, config, "run-1")
    assert caught.value.shareable.endswith("not allow this: least-training-patients is 39")
