"""The signals that a round's record has of its units, and sites that send what cannot be."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from flwr.app import Message, RecordDict

from server.federation.context import Federation
from server.training.rounds import run_round
from shared.protocol.train import TrainReply
from shared.settings.schedule import Plan, plan_of_units
from shared.wire.arrays import Arrays

MakeSites = Callable[..., tuple[Any, Any]]
MakeFederation = Callable[..., Federation]
SENT = {"north": 0.11, "east": 0.4, "south": 0.052}
IMAGES = {"north": 30, "east": 20, "south": 10}


def probe(federation: Federation) -> Plan:
    return plan_of_units(federation.config, 1, {"head"}, {"head"})


def sending(sites: Any, sent: dict[str, dict[str, float]]) -> None:
    """The sites' replies have this signal-to-noise."""

    def spoil(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if asked.metadata.message_type != "train":
            return reply
        content = TrainReply.from_content(reply)
        return dataclasses.replace(content, signal_to_noise=sent.get(name, {})).to_content()

    sites.spoil = spoil


@pytest.mark.parametrize("schedule", ["dynamics", "adaptive"])
@pytest.mark.parametrize("silent", [None, "east"])
def test_the_mean_over_the_sites_by_their_images(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays, schedule: str,
    silent: str | None,
) -> None:  # fmt: skip
    sites, grid = make_sites()
    sending(sites, {name: {"head": value} for name, value in SENT.items() if name != silent})
    federation = make_federation(grid, schedule=schedule)
    _, record = run_round(federation, probe(federation), delta)
    names = [name for name in SENT if name != silent]
    mean = np.average([SENT[n] for n in names], weights=[IMAGES[n] for n in names])
    assert record.exact.signals is not None
    found = record.exact.signals.units["head"]
    assert found.signal_to_noise == float(f"{mean:.2g}")
    assert found.distance > 0
    json.dumps(dataclasses.asdict(record.exact), allow_nan=False)


def test_nothing_where_no_site_sends_it(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays
) -> None:
    _, grid = make_sites()
    federation = make_federation(grid, schedule="dynamics")
    _, record = run_round(federation, probe(federation), delta)
    assert record.exact.signals is not None
    assert record.exact.signals.units["head"].signal_to_noise is None
    assert not record.exact.refused


HOSTILE: list[tuple[list[str], object, str]] = [
    (["head"], [float("nan")], "'signal-to-noise' holds something"),
    (["head"], [float("inf")], "'signal-to-noise' holds something"),
    (["head"], [-0.5], "'signal-to-noise' holds something"),
    (["head"], [1e300], "'signal-to-noise' holds a number above"),
    (["head"], 0.5, "'signal-to-noise' is missing or not a list"),
    (["head"], [0.5, 0.5], "'signal-to-noise' has not one number"),
    (["head", "head"], [0.5, 0.5], "'signal-to-noise' has not one number"),
    (["layer4.0"], [0.5], "it sends a signal-to-noise of layer4.0, which did not train"),
    (["no such unit"], [0.5], "'units' holds something that is not a plain name"),
]


@pytest.mark.parametrize(("units", "values", "sentence"), HOSTILE, ids=str)
def test_what_cannot_be_is_refused(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays, units: list[str],
    values: object, sentence: str,
) -> None:  # fmt: skip
    sites, grid = make_sites()
    sending(sites, {name: {"head": value} for name, value in SENT.items()})
    honest = sites.spoil

    def spoil(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        content: RecordDict = honest(name, asked, reply)
        if name == "east" and asked.metadata.message_type == "train":
            content.config_records["report"]["units"] = units
            cast(Any, content.metric_records["metrics"])["signal-to-noise"] = values
        return content

    sites.spoil = spoil
    federation = make_federation(grid, schedule="dynamics", min_sites=2)
    _, record = run_round(federation, probe(federation), delta)
    assert record.exact.refused["east"].startswith(sentence)
    assert record.exact.signals is not None
    mean = np.average([SENT["north"], SENT["south"]], weights=[30, 10])
    assert record.exact.signals.units["head"].signal_to_noise == float(f"{mean:.2g}")


def test_a_run_that_does_not_ask_refuses_it(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays
) -> None:
    sites, grid = make_sites()
    sending(sites, {"east": {"head": 0.5}})
    federation = make_federation(grid, schedule="progressive", min_sites=2)
    _, record = run_round(federation, probe(federation), delta)
    assert record.exact.refused == {
        "east": "it sends a signal-to-noise, for which this run does not ask"
    }
    assert record.exact.signals is None
