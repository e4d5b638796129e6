"""A round whose sites are absent, get lost or are many, and one that is stopped."""

from __future__ import annotations

import math
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.federation.context import Federation
from server.federation.global_model import Reference
from server.federation.quorum import wait_for_sites
from server.training.rounds import run_round
from shared.errors import RunError
from shared.run.events import Event, ReplyReceived, RoundStarted, SiteLost, listening
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round
from shared.wire.arrays import Arrays

MakeSites = Callable[..., tuple[Any, Any]]
MakeFederation = Callable[..., Federation]
HeardDuring = Callable[[Callable[[], Any]], tuple[Any, list[Event]]]


def test_registered_sites_that_are_absent_are_recorded(
    make_sites: MakeSites,
    make_federation: MakeFederation,
    delta: Arrays,
    heard_during: HeardDuring,
) -> None:
    _, grid = make_sites()
    grid.gone = frozenset({1003})
    names = {1001: "north", 1002: "east", 1003: "south", 1004: "west"}
    federation = make_federation(grid, names=names, min_sites=2)
    (_, record), events = heard_during(
        lambda: run_round(federation, plan_round(federation.config, 1), delta)
    )
    assert record.exact.absent == ("south", "west")
    assert (list(record.exact.sites), record.exact.refused) == (["east", "north"], {})
    (begun,) = (event for event in events if isinstance(event, RoundStarted))
    assert (begun.sites, begun.absent) == (("east", "north"), ("south", "west"))


def test_a_site_whose_connection_is_lost_is_named(
    make_sites: MakeSites,
    make_federation: MakeFederation,
    delta: Arrays,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.federation.messaging.PRESENCE_SECONDS", 0.01)
    _, grid = make_sites()
    names = {1001: "north", 1002: "east", 1003: "south"}
    federation = make_federation(grid, names=names, min_sites=2, reconnect_wait=0)
    events: list[Event] = []

    def follow(event: Event) -> None:
        events.append(event)
        if isinstance(event, ReplyReceived):  # east's, the first
            grid.gone = frozenset({1001, 1003})
        if event == SiteLost("south", False):
            grid.gone, grid.silent = frozenset({1001}), frozenset({1001})

    wait_for_sites(federation)
    grid.silent = frozenset({1001, 1003})
    with listening(follow):
        _, record = run_round(federation, plan_round(federation.config, 1), delta)
    assert list(record.exact.sites) == ["east", "south"]
    assert record.exact.refused == {"north": "its connection is lost for 0 s"}
    assert SiteLost("north", False) in events
    assert SiteLost("north", True) not in events
    assert record.exact.absent == ()


@pytest.mark.parametrize("strategy", ["fedavg", "fedmedian"])
def test_a_round_that_is_stopped_leaves_no_files(
    make_sites: MakeSites,
    make_federation: MakeFederation,
    delta: Arrays,
    tmp_path: Path,
    strategy: str,
) -> None:
    sites, grid = make_sites()
    federation = make_federation(grid, strategy=strategy)
    wait_for_sites(federation)
    grid.silent = frozenset({1003})

    def stop(event: Event) -> None:
        if isinstance(event, ReplyReceived):
            (tmp_path / "stop").touch()

    with listening(stop), pytest.raises(RunError, match=r"^The run was stopped\."):
        run_round(federation, plan_round(federation.config, 1), delta)
    assert [name for name, kind in sites.heard if kind == "train"] == ["east", "north"]
    assert os.listdir(tmp_path) == ["stop"]


def test_memory_does_not_grow_with_the_number_of_sites(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays, reference: Reference
) -> None:
    """Each reply is combined as it comes; what is kept of it are counts."""
    plan = plan_round(RunConfig(schedule="full", probe_rounds=0), 1)
    size = 4 * sum(math.prod(spec.shape) for spec in reference.specs(plan.trainable))
    peaks = {}
    for count in (2, 4, 16):  # the first fills caches
        sites, grid = make_sites(tuple(f"site{number:02}" for number in range(count)))
        update = sites.update("site00", 1, plan.trainable)
        sites.update = lambda *_, update=update: update
        federation = make_federation(grid, min_sites=count)
        tracemalloc.start()
        try:
            _, record = run_round(federation, plan, delta)
            peaks[count] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert len(record.exact.sites) == count
    assert size > 300_000
    assert peaks[16] - peaks[4] < 2 * size
