"""Numbers of a site that cannot be, at the edge and beyond it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flwr.app import Message, RecordDict

from server.evaluation.final import evaluate_final
from server.evaluation.final_model import FinalModel
from server.federation.context import Federation
from server.federation.plausible import (
    require_own_units,
    require_plausible_evaluation,
    require_plausible_site,
    require_plausible_training,
)
from server.training.rounds import run_round
from shared.errors import ProtocolError
from shared.metrics.histogram import Histogram
from shared.protocol.describe import SiteDescription
from shared.protocol.evaluate import EvaluateReply
from shared.protocol.train import TrainReply
from shared.run.events import Event, Warned, listening
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_of_units, plan_round
from shared.wire.arrays import Arrays

MakeSites = Callable[..., tuple[Any, Any]]
MakeFederation = Callable[..., Federation]


def counted(patients: int) -> Histogram:
    return Histogram.from_logits([0.0] * patients, [n % 2 for n in range(patients)])


@pytest.mark.parametrize(("images", "patients"), [(50, 50), (50_000, 50), (1, 1)])
def test_what_a_site_can_have(images: int, patients: int) -> None:
    require_plausible_site(SiteDescription("north", "base", images, patients))


@pytest.mark.parametrize(
    ("images", "complaint"),
    [(49, "fewer images than patients"), (50_001, "more than 1000 images a patient")],
)
def test_images_that_do_not_fit_the_patients(images: int, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=complaint):
        require_plausible_site(SiteDescription("north", "base", images, 50))


@pytest.mark.parametrize(
    ("settings", "scope", "most"),
    [
        ({}, "validation", 110),
        ({"validation_fraction": 0.5}, "validation", 210),
        ({"folds": 2, "validation_fraction": 0.5}, "test", 410),
        ({"folds": 5}, "test", 110),
    ],
)
def test_held_out_patients_are_bounded_by_those_that_train(
    settings: dict[str, Any], scope: Any, most: int
) -> None:
    site = SiteDescription("north", "base", 100, 100)
    config = RunConfig(**settings)
    require_plausible_evaluation(counted(most), site, config, scope)
    with pytest.raises(ProtocolError, match=f"it counts more {scope} patients than"):
        require_plausible_evaluation(counted(most + 1), site, config, scope)


def test_steps_that_the_images_do_not_make(config: RunConfig) -> None:
    site = SiteDescription("north", "base", 30, 30)
    reply = TrainReply(
        "north", 1, "", None, 30, 30, 8, 1.0, counted(5), False, 1.0, 1.0, 0, 0,  # type: ignore[arg-type]
    )  # fmt: skip
    require_plausible_training(reply, site, dataclasses.replace(config, local_epochs=2))
    with pytest.raises(ProtocolError, match="more steps than its images make with batch-size 8"):
        require_plausible_training(reply, site, config)
    fitted = dataclasses.replace(config, schedule="logistic")
    for iterations in (9, 10_000):
        require_plausible_training(dataclasses.replace(reply, steps=iterations), site, fitted)
    with pytest.raises(ProtocolError, match="its fit took more than 10,000 iterations"):
        require_plausible_training(dataclasses.replace(reply, steps=10_001), site, fitted)


def test_units_of_which_nobody_asked() -> None:
    config = RunConfig(backbone="micro", schedule="dynamics", probe_rounds=1)
    plan = plan_of_units(config, 2, {"layer3.0", "head"}, {"head"})
    reply = TrainReply(
        "north", 2, "", None, 30, 30, 4, 1.0, counted(5), False, 1.0, 1.0, 0, 0,  # type: ignore[arg-type]
        {"layer3.0": 0.1, "head": 0.2},
    )  # fmt: skip
    require_own_units(reply, plan, config)
    require_own_units(dataclasses.replace(reply, signal_to_noise={}), plan, config)
    require_own_units(dataclasses.replace(reply, signal_to_noise={"head": 0.1}), plan, config)
    others = dataclasses.replace(reply, signal_to_noise={"head": 0.1, "layer4.0": 0.1})
    with pytest.raises(ProtocolError, match=r"of layer4\.0, which did not train in this round"):
        require_own_units(others, plan, config)
    for silent in (
        dataclasses.replace(config, schedule="full"),
        dataclasses.replace(config, optimizer="sgd"),
    ):
        with pytest.raises(ProtocolError, match="for which this run does not ask"):
            require_own_units(reply, plan, silent)
        require_own_units(dataclasses.replace(reply, signal_to_noise={}), plan, silent)


def lying(sites: Any, **lies: Any) -> None:
    """East's replies to training hold these values."""

    def lie(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if name != "east" or asked.metadata.message_type != "train":
            return reply
        content = TrainReply.from_content(reply)
        return dataclasses.replace(content, **lies).to_content()

    sites.spoil = lie


def test_half_a_billion_images_of_fifty_patients_are_refused(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays
) -> None:
    sites, grid = make_sites()
    lying(sites, images=2**29 - 1, patients=50)
    federation = make_federation(grid, min_sites=2)
    _, record = run_round(federation, plan_round(federation.config, 1), delta)
    assert set(record.exact.sites) == {"north", "south"}
    assert "more than 1000 images a patient" in record.exact.refused["east"]


def test_a_site_counts_no_more_than_what_it_joined_with(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays
) -> None:
    """Fifty times the images and patients, between one round and the next."""
    events: list[Event] = []
    _, grid = make_sites()
    federation = make_federation(grid)
    expected, _ = run_round(federation, plan_round(federation.config, 1), delta)
    sites, grid = make_sites()
    lying(sites, images=1000, patients=1000)
    federation = make_federation(grid)
    with listening(events.append):
        merged, record = run_round(federation, plan_round(federation.config, 1), delta)
    assert {k: v.tobytes() for k, v in merged.items()} == {
        k: v.tobytes() for k, v in expected.items()
    }
    assert record.exact.sites["east"].images == 1000
    warnings = [event.text for event in events if isinstance(event, Warned)]
    assert any(text.startswith("east trains on more images than") for text in warnings)


def test_invented_steps_let_no_larger_update_pass(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays
) -> None:
    """Fifty times the images explain fifty times the steps, which would explain a long way."""
    sites, grid = make_sites()
    own = sites.update

    def larger(name: str, number: int, parts: tuple[str, ...]) -> Arrays:
        scale = np.float32(30 if name == "east" else 1)
        return {key: array * scale for key, array in own(name, number, parts).items()}

    sites.update = larger
    lying(sites, images=1000, patients=1000, steps=125)
    federation = make_federation(grid, min_sites=2)
    _, record = run_round(federation, plan_round(federation.config, 1), delta)
    assert set(record.exact.sites) == {"north", "south"}
    assert "as much as the other sites' median" in record.exact.refused["east"]


def test_invented_patients_are_in_no_evaluation(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays
) -> None:
    sites, grid = make_sites()
    lying(sites, histogram=counted(5000))
    federation = make_federation(grid, min_sites=2)
    _, record = run_round(federation, plan_round(federation.config, 1), delta)
    assert "it counts more validation patients than" in record.exact.refused["east"]

    def lie(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if name != "east" or asked.metadata.message_type != "evaluate":
            return reply
        return EvaluateReply("east", counted(5000), False, 1.0).to_content()

    sites.spoil = lie
    final = evaluate_final(federation, FinalModel(delta, ("head",)), 1)
    assert "it counts more validation patients than" in final.missing["east"]


def test_an_implausible_site_is_not_admitted(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays
) -> None:
    sites, grid = make_sites()

    def lie(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if name != "east" or asked.metadata.message_type != "query":
            return reply
        described = SiteDescription.from_content(reply)
        return dataclasses.replace(described, images=2**29 - 1, patients=50).to_content()

    sites.spoil = lie
    federation = make_federation(grid, min_sites=2)
    _, record = run_round(federation, plan_round(federation.config, 1), delta)
    assert set(record.exact.sites) == {"north", "south"}
    (why,) = federation.roster.refused.values()
    assert why.startswith("Site east is refused: it says that it trains on more than 1000 images")
