"""What is heard of a round, and whole runs of scripted sites."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Message, RecordDict

from server.federation.connected import Registry, nobody_registered
from server.training.coordinate import coordinate
from shared.run.events import Event, listening
from shared.settings.config import RunConfig

MakeSites = Callable[..., tuple[Any, Any]]
Run = Callable[..., tuple[dict[str, Any], list[Event]]]


@pytest.fixture(scope="session")
def heard_during() -> Callable[[Callable[[], Any]], tuple[Any, list[Event]]]:
    """What a piece of work returns, and the events meanwhile."""

    def listen(work: Callable[[], Any]) -> tuple[Any, list[Event]]:
        events: list[Event] = []
        with listening(events.append):
            return work(), events

    return listen


@pytest.fixture
def run(make_sites: MakeSites, config: RunConfig, tmp_path: Path) -> Run:
    """Coordinate with new sites; `at` is called with (round, site) before each training."""

    def start(
        folder: str = "run",
        at: Callable[[int, str], None] = lambda number, site: None,
        registry: Registry | None = None,
        **changes: object,
    ) -> tuple[dict[str, Any], list[Event]]:
        sites, grid = make_sites()

        def spoil(name: str, asked: Message, reply: RecordDict) -> RecordDict:
            if asked.metadata.message_type == "train":
                at(int(asked.metadata.group_id), name)
            return reply

        sites.spoil = spoil
        values = {"out": str(tmp_path / folder), **changes}
        events: list[Event] = []
        with listening(events.append):
            chosen = dataclasses.replace(config, **values)  # type: ignore[arg-type]
            return coordinate(grid, chosen, registry or nobody_registered), events

    return start
