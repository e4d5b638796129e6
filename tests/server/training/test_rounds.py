"""One round with scripted sites: what is sent, what is used, what is written down."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from flwr.app import Message, RecordDict
from flwr.common.serde import recorddict_to_proto

from server.federation.context import Federation
from server.federation.global_model import Reference
from server.training.rounds import run_round
from shared.errors import ProtocolError, RunError
from shared.model.resnet import MICRO
from shared.protocol.train import TrainRequest
from shared.run.events import (
    Event,
    ReplyReceived,
    RoundRetried,
    RoundStarted,
    SiteJoined,
    Warned,
)
from shared.settings.schedule import plan_round
from shared.wire.arrays import Arrays

MakeSites = Callable[..., tuple[Any, Any]]
MakeFederation = Callable[..., Federation]
HeardDuring = Callable[[Callable[[], Any]], tuple[Any, list[Event]]]


@pytest.mark.parametrize("strategy", ["fedavg", "fedadam"])
def test_the_order_of_arrival_does_not_change_a_bit(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays, strategy: str
) -> None:
    results = []
    for names, backwards in [
        (("north", "east", "south"), False),
        (("north", "east", "south"), True),
        (("south", "north", "east"), False),
    ]:
        _, grid = make_sites(names)
        grid.backwards = backwards
        federation = make_federation(grid, strategy=strategy)
        merged, record = run_round(federation, plan_round(federation.config, 3), delta)
        results.append(({k: v.tobytes() for k, v in merged.items()}, list(record.exact.sites)))
    assert results[0] == results[1] == results[2]
    assert results[0][1] == ["east", "north", "south"]


def test_the_average_of_the_sites_updates(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays
) -> None:
    sites, grid = make_sites()
    federation = make_federation(grid, schedule="progressive")
    plan = plan_round(federation.config, 3)
    assert plan.trainable == ("layer3", "layer4", "head")
    merged, _ = run_round(federation, plan, delta)
    updates = [sites.update(name, 3, plan.trainable) for name in ("north", "east", "south")]
    for key, value in merged.items():
        mean = np.average([u[key].astype(float) for u in updates], axis=0, weights=[30, 20, 10])
        before = delta.get(key, 0)
        np.testing.assert_allclose(value, before + mean, rtol=1e-5, atol=1e-7)


def test_what_does_not_train_stays_bit_for_bit(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays
) -> None:
    _, grid = make_sites()
    federation = make_federation(grid)
    kept = {"layer4.0.bn1.weight": np.full(64, 0.1, np.float32)}
    merged, _ = run_round(federation, plan_round(federation.config, 1), delta | kept)
    assert set(merged) == {"fc.weight", "fc.bias", *kept}
    assert merged["layer4.0.bn1.weight"].tobytes() == kept["layer4.0.bn1.weight"].tobytes()


def test_a_request_has_what_the_sites_have_not(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays, reference: Reference
) -> None:
    sites, grid = make_sites()
    seen: list[TrainRequest] = []

    def look(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if asked.metadata.message_type == "train":
            seen.append(TrainRequest.from_content(asked.content, MICRO))
        return reply

    sites.spoil = look
    federation = make_federation(grid)
    plan = plan_round(federation.config, 4)
    run_round(federation, plan, delta)
    request = seen[0]
    assert (request.run, request.base, request.plan) == ("r1", reference.base.digest, plan)
    assert list(request.model.delta) == [spec.name for spec in reference.specs(("head",))]
    assert request.model.thawed == plan.thawed
    assert request.expects == tuple(s.to_line() for s in reference.specs(plan.trainable))
    assert np.array_equal(request.model.delta["fc.weight"].numpy(), delta["fc.weight"])


def test_the_record_of_a_round(
    make_sites: MakeSites,
    make_federation: MakeFederation,
    delta: Arrays,
    heard_during: HeardDuring,
) -> None:
    sites, grid = make_sites()
    sent: dict[str, int] = {"down": 0, "up": 0}

    def weigh(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if asked.metadata.message_type == "train":
            sent["down"] += recorddict_to_proto(asked.content).ByteSize()
            sent["up"] += recorddict_to_proto(reply).ByteSize()
        return reply

    sites.spoil = weigh
    federation = make_federation(grid)
    (_, record), events = heard_during(
        lambda: run_round(federation, plan_round(federation.config, 2), delta)
    )
    assert (record.exact.round, record.exact.attempts, record.exact.refused) == (2, 1, {})
    assert record.exact.loss == pytest.approx(0.5)
    assert record.exact.bytes_down == pytest.approx(sent["down"], rel=0.01)
    assert record.exact.bytes_up == pytest.approx(sent["up"], rel=0.01)
    assert record.exact.bytes_full_exchange == 6 * 1_000_000
    patients = record.exact.validation["positives"] + record.exact.validation["negatives"]
    assert patients == 60
    north, south = record.exact.sites["north"], record.exact.sites["south"]
    assert (north.images, north.steps, north.peak_memory_bytes) == (30, 4, 30_000)
    assert (north.continued_from, north.train_seconds, north.evaluate_seconds) == (1, 2.0, 0.5)
    assert north.metrics["positives"] == south.metrics["positives"] + 10 == 15
    shown = record.shown.value.sites["south"]  # it suppresses its own values
    assert set(shown.metrics.values()) == {None}
    assert (shown.images, shown.patients, shown.steps, shown.loss) == (None,) * 4
    assert record.shown.value.sites["north"].patients == 30
    assert [type(event) for event in events] == [
        *[SiteJoined] * 3,
        RoundStarted,
        *[ReplyReceived] * 3,
    ]


def test_a_refused_reply_is_left_out_and_named(
    make_sites: MakeSites,
    make_federation: MakeFederation,
    delta: Arrays,
    heard_during: HeardDuring,
) -> None:
    sites, grid = make_sites()

    def spoil(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if name == "east" and asked.metadata.message_type == "train":
            raise ProtocolError("no matter what: a site's own text does not travel this way")
        return reply

    sites.spoil = spoil
    federation = make_federation(grid, min_sites=2)
    (merged, record), events = heard_during(
        lambda: run_round(federation, plan_round(federation.config, 1), delta)
    )
    assert record.exact.refused == {"east": "ProtocolError"}
    assert list(record.exact.sites) == ["north", "south"]
    assert ReplyReceived("east", "ProtocolError") in events
    assert record.exact.bytes_full_exchange == 5 * 1_000_000
    mean = np.average(
        [sites.update(n, 1, ("head",))["fc.bias"] for n in ("north", "south")],
        axis=0,
        weights=[30, 10],
    )
    np.testing.assert_allclose(merged["fc.bias"], delta["fc.bias"] + mean, rtol=1e-5)


HOSTILE: list[tuple[str, object]] = [
    ("positives", [2**31 - 1] * 514),
    ("negatives", [2**31 - 1] * 514),
    ("loss", 1e308),
    ("train-seconds", 1e308),
    ("evaluate-seconds", 1.7e308),
]


@pytest.mark.parametrize(("key", "value"), HOSTILE, ids=[key for key, _ in HOSTILE])
def test_numbers_that_would_end_the_run_are_refused(
    make_sites: MakeSites,
    make_federation: MakeFederation,
    delta: Arrays,
    key: str,
    value: object,
) -> None:
    """Each could be one site's alone; added to those of the others they are no longer numbers."""
    sites, grid = make_sites()

    def spoil(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if name == "east" and asked.metadata.message_type == "train":
            cast(Any, reply.metric_records["metrics"])[key] = value
        return reply

    sites.spoil = spoil
    federation = make_federation(grid, min_sites=2)
    _, record = run_round(federation, plan_round(federation.config, 1), delta)
    assert list(record.exact.sites) == ["north", "south"]
    assert record.exact.refused["east"].startswith(f"'{key}'")
    json.dumps(dataclasses.asdict(record.exact), allow_nan=False)


def test_a_silent_site_is_waited_for_and_named(
    make_sites: MakeSites,
    make_federation: MakeFederation,
    delta: Arrays,
    heard_during: HeardDuring,
) -> None:
    sites, grid = make_sites()
    federation = make_federation(grid, min_sites=2, round_timeout=1)

    def fall_silent(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if asked.metadata.message_type == "train":
            grid.silent = frozenset({1003})
        return reply

    sites.spoil = fall_silent
    (_, record), events = heard_during(
        lambda: run_round(federation, plan_round(federation.config, 1), delta)
    )
    assert record.exact.refused == {"south": "no reply within 1 s"}
    assert ReplyReceived("south", "no reply within 1 s") in events
    assert record.exact.wait_seconds >= 1


def test_a_round_is_asked_again_while_too_few_answer(
    make_sites: MakeSites,
    make_federation: MakeFederation,
    delta: Arrays,
    heard_during: HeardDuring,
) -> None:
    sites, grid = make_sites()
    failures = iter([True, True])

    def spoil(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if name == "east" and asked.metadata.message_type == "train" and next(failures, False):
            raise MemoryError
        return reply

    sites.spoil = spoil
    federation = make_federation(grid, retries=2)
    (_, record), events = heard_during(
        lambda: run_round(federation, plan_round(federation.config, 1), delta)
    )
    assert (record.exact.attempts, record.exact.refused) == (3, {})
    assert [e for e in events if isinstance(e, RoundRetried)] == [
        RoundRetried(1, 2, 3, 1),
        RoundRetried(1, 2, 3, 2),
    ]
    assert record.exact.bytes_full_exchange == (9 + 2 + 2 + 3) * 1_000_000


def test_a_round_that_stays_too_small_ends_the_run(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays
) -> None:
    sites, grid = make_sites()

    def spoil(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        return RecordDict() if asked.metadata.message_type == "train" else reply

    sites.spoil = spoil
    federation = make_federation(grid, retries=1)
    sentence = (
        r"^Round 1 was asked 2 times and had 0 usable replies of at least 3 \(min-sites\)\. "
        r"east: .*; north: .*; south: .* --resume\.$"
    )
    with pytest.raises(RunError, match=sentence):
        run_round(federation, plan_round(federation.config, 1), delta)


def test_sites_that_never_come(
    make_sites: MakeSites,
    make_federation: MakeFederation,
    delta: Arrays,
    heard_during: HeardDuring,
) -> None:
    _, grid = make_sites()
    grid.gone = frozenset({1001, 1002})
    federation = make_federation(grid, round_timeout=1)

    def work() -> None:
        with pytest.raises(RunError, match=r"^1 of at least 3 sites \(min-sites\) can take part"):
            run_round(federation, plan_round(federation.config, 1), delta)

    _, events = heard_during(work)
    assert events == [
        SiteJoined("south"),
        Warned("Waiting for sites: 1 ready, at least 3 required."),
    ]


def test_a_site_that_joins_late_takes_part(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays
) -> None:
    _, grid = make_sites()
    grid.gone = frozenset({1001})
    federation = make_federation(grid, min_sites=2)
    merged, record = run_round(federation, plan_round(federation.config, 1), delta)
    assert list(record.exact.sites) == ["east", "south"]
    grid.gone = frozenset()
    _, record = run_round(federation, plan_round(federation.config, 2), merged)
    assert list(record.exact.sites) == ["east", "north", "south"]
