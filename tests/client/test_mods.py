"""Flower mods around the site's app."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flwr.app import Context, Message
from flwr.clientapp.mod import arrays_size_mod
from flwr.clientapp.typing import ClientAppCallable

import client.app
import client.mods
from server.simulation.inprocess import local_grid
from shared.protocol.describe import DescribeRequest, SiteDescription
from shared.protocol.replies import UNEXPECTED
from shared.settings.config import RunConfig

SECRET = "/data/ward-7/MUELLER^ANNA_P0042.dcm"
Ask = Callable[[], Message]


@pytest.fixture
def with_mods(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    def add(*mods: object) -> None:
        monkeypatch.setattr(client.mods, "MODS", list(mods))
        importlib.reload(client.app)

    yield add
    monkeypatch.undo()
    importlib.reload(client.app)


@pytest.fixture
def ask(
    tmp_path: Path, write_site: Callable[..., Path], micro_config: Callable[..., RunConfig]
) -> Ask:
    def describe() -> Message:
        config = micro_config(sites=str(write_site(tmp_path, "north")))
        grid = local_grid(config, nodes=1)
        (node,) = grid.get_node_ids()
        content = DescribeRequest("run-1").to_content()
        (reply,) = grid.send_and_receive([grid.create_message(content, "query", node, "1")])
        return reply

    return describe


def test_mods_wrap_the_handlers_in_their_order(with_mods: Callable[..., None], ask: Ask) -> None:
    passed: list[str] = []

    def noting(name: str) -> Callable[..., Message]:
        def mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
            passed.append(f"to {name}")
            reply = call_next(message, context)
            passed.append(f"from {name}")
            return reply

        return mod

    with_mods(noting("outer"), arrays_size_mod, noting("inner"))
    assert SiteDescription.from_content(ask().content).name == "north"
    assert passed == ["to outer", "to inner", "from inner", "from outer"]


@pytest.mark.parametrize("after", [False, True])
def test_a_mod_that_fails_gives_nothing_of_the_site_away(
    with_mods: Callable[..., None], ask: Ask, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    def broken(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        if after:
            call_next(message, context)
        raise ValueError(SECRET)

    with_mods(broken)
    monkeypatch.setattr("client.app.reader_owns_the_site", lambda: False)
    reply = ask()
    assert reply.error.code == UNEXPECTED
    assert reply.error.reason == "an unexpected ValueError; the site's own log says more"
