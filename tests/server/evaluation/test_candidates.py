"""Which model the sites choose, who has a say in it, and what asking takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import Message, RecordDict

from server.evaluation.candidates import Between, choose_candidate, chosen
from server.evaluation.final_model import point
from server.federation.context import Federation
from server.federation.global_model import Reference, build_reference
from server.federation.quorum import wait_for_sites
from server.results.ending import Ending
from shared.errors import RunError
from shared.metrics.histogram import Histogram
from shared.metrics.log_loss import LogLoss
from shared.model.pretrained import load_base
from shared.model.resnet import MICRO
from shared.protocol.candidates import CandidatesReply, CandidatesRequest
from shared.run.events import Event, Warned, listening
from shared.settings.config import RunConfig
from shared.settings.ending import probe_parts
from shared.wire.arrays import Arrays
from shared.wire.increments import apply_increments

MakeSites = Callable[..., tuple[Any, Any]]
MakeFederation = Callable[..., Federation]
TYPE = "evaluate.candidates"


@pytest.fixture
def choose(delta: Arrays, reference: Reference) -> Callable[[Federation], Ending]:
    """Between the initial head and a network of which much has changed."""
    rng = np.random.default_rng(5)
    parts = ("layer2", "layer3", "layer4", "head")
    end = {s.name: rng.normal(0, 0.01, s.shape).astype(np.float32) for s in reference.specs(parts)}

    models = Between(delta, end, 5, 1, (5, 5), parts)

    def ask(federation: Federation) -> Ending:
        return choose_candidate(federation, models, ("north", "east", "south"))[0]

    return ask


def test_two_models_are_sent_once(
    make_sites: MakeSites, make_federation: MakeFederation, choose: Callable[..., Ending],
    reference: Reference,
) -> None:  # fmt: skip
    sites, grid = make_sites()
    seen: list[CandidatesRequest] = []

    def look(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if asked.metadata.message_type == TYPE:
            seen.append(CandidatesRequest.from_content(asked.content, MICRO))
        return reply

    sites.spoil = look
    ending = choose(make_federation(grid, end="guarded", update_dtype="int8"))
    assert len(seen) == 3
    assert seen[0].shares == (0.0, 0.25, 0.5, 0.75, 1.0)
    sent = seen[0].model
    assert (seen[0].probed, sent.thawed) == (("head",), ("layer2", "layer3", "layer4", "head"))
    specs = reference.specs(sent.thawed, "int8")
    assert list(sent.delta) == [spec.name for spec in specs]
    whole = sum(4 * int(np.prod(spec.shape)) for spec in specs)
    assert ending.bytes_down < 3 * whole / 2
    assert ending.evaluate_seconds == 0.75
    assert ending.choice is not None
    assert ending.choice.sites == ("east", "north", "south")


def test_the_probe_model_arrives_as_it_is_but_for_three_percent(
    make_sites: MakeSites, make_federation: MakeFederation
) -> None:
    """Also in a run whose rounds are rounded to one step: no later message would bring the rest."""
    _, grid = make_sites()
    config = RunConfig(
        backbone="resnet50", weights="random", outcome="classes: a | b | c", end="guarded",
        update_dtype="int8", update_steps=1.0,
    )  # fmt: skip
    federation = replace(
        make_federation(grid), config=config, reference=build_reference(config, load_base(config))
    )
    parts = probe_parts(config)
    rng = np.random.default_rng(7)
    probe = {
        spec.name: rng.normal(0, 0.02, spec.shape).astype(np.float32)
        for spec in federation.reference.specs(parts)
    }
    specs = federation.reference.specs(parts, "int8")
    assert any(spec.format == "int8" for spec in specs)
    arrived = apply_increments(point(federation, probe).start, {}, specs)
    for name, array in probe.items():
        assert np.linalg.norm(arrived[name] - array) <= 0.03 * np.linalg.norm(array)


def test_those_that_answer_decide(
    make_sites: MakeSites, make_federation: MakeFederation, choose: Callable[..., Ending]
) -> None:
    """East fails each time, south is gone: north's patients alone choose, and that is said."""
    sites, grid = make_sites()

    def spoil(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if asked.metadata.message_type != TYPE:
            return reply
        if name == "east":
            raise MemoryError
        worse = [Histogram.from_logits([8.0 * n, -8.0 * n], [0, 1]) for n in range(5)]
        return CandidatesReply(name, tuple(worse), False, 0.0).to_content()

    sites.spoil = spoil
    federation = make_federation(grid, min_sites=1, retries=1, reconnect_wait=0, end="guarded")
    wait_for_sites(federation)
    grid.gone = frozenset({1003})
    events: list[Event] = []
    with listening(events.append):
        ending = choose(federation)
    assert ending.choice is not None
    assert (ending.choice.share, ending.choice.sites) == (0.0, ("north",))
    assert ending.choice.missing == {"east": "MemoryError", "south": "not connected"}
    assert Warned("east is not in the choice of the final model: MemoryError.") in events
    assert [kind for name, kind in sites.heard if name == "east"].count(TYPE) == 2


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ([Histogram.from_logits([0.0], [1])] * 4, "counts"),
        ([Histogram.from_logits([0.0] * 900, [1] * 900)] * 5, "more validation patients"),
        (
            [Histogram.from_logits([0.0], [1])] * 4 + [Histogram.from_logits([0.0], [0])],
            "same patients",
        ),
    ],
)
def test_an_answer_that_cannot_be_is_none(
    make_sites: MakeSites, make_federation: MakeFederation, choose: Callable[..., Ending],
    counts: list[Histogram], why: str,
) -> None:  # fmt: skip
    sites, grid = make_sites()

    def lie(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if asked.metadata.message_type == TYPE and name == "east":
            return CandidatesReply(name, tuple(counts), False, 0.0).to_content()
        return reply

    sites.spoil = lie
    ending = choose(make_federation(grid, min_sites=2, retries=0, end="guarded"))
    assert ending.choice is not None
    assert why in ending.choice.missing["east"]
    assert ending.choice.sites == ("north", "south")
    with pytest.raises(RunError, match="2 of at least 3 sites evaluated the candidates"):
        choose(make_federation(grid, min_sites=3, retries=0, end="guarded"))


def losses(*means: float | None, error: float = 0.1) -> list[LogLoss | None]:
    return [None if mean is None else LogLoss(mean, error) for mean in means]


@pytest.mark.parametrize(
    ("means", "share"),
    [
        ((0.69, 0.68, 0.67, 0.66, 0.65), 0.5),  # none can be told from the best
        ((0.9, 0.9, 0.9, 0.6, 0.5), 0.75),
        ((0.9, 0.9, 0.6, 0.9, 0.5), 0.5),  # the limit itself is within it
        ((0.5, 0.55, 0.8, 0.9, 1.2), 0.25),
        ((0.5, 0.7, 0.8, 0.9, 1.2), 0.0),  # never worse than the probe by more
        ((0.9, 0.5, 0.9, 0.5, 0.9), 0.75),  # both as near: the farther one
        ((None, None, None, None, None), 0.5),
    ],
)
def test_half_way_unless_the_patients_speak_against_it(
    means: tuple[float | None, ...], share: float
) -> None:
    assert chosen(losses(*means)) == share


def test_the_error_is_that_of_the_best() -> None:
    found = [LogLoss(0.5, 0.01), LogLoss(0.55, 0.2), LogLoss(0.6, 0.3)]
    assert chosen(found, (0.0, 0.5, 1.0)) == 0.0
