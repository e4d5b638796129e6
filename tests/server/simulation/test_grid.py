"""Flower's Grid within one process."""

from __future__ import annotations

import os

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from client.site_folders import site_folders
from server.simulation.grid import (
    CLIENT_FAILED,
    InProcessGrid,
    coordinator_context,
    site_contexts,
)
from shared.settings.config import RunConfig
from shared.settings.parse import parse_run_config

CONFIG = RunConfig(seed=5, sites=os.pathsep.join(["/data/north", "/data/east"]))


def content(number: int) -> RecordDict:
    return RecordDict({"record": ConfigRecord({"number": number, "nodes": [0]})})


def answer(message: Message, context: Context) -> Message:
    """The number of the question, times the node that answers."""
    number = message.content.config_records["record"]["number"]
    assert isinstance(number, int)
    return Message(content(number * context.node_id), reply_to=message)


def number_in(message: Message) -> object:
    return message.content.config_records["record"]["number"]


@pytest.fixture
def grid() -> InProcessGrid:
    return InProcessGrid(answer, site_contexts(CONFIG, 3))


def test_it_is_a_grid_of_flower(grid: InProcessGrid) -> None:
    assert isinstance(grid, Grid)
    assert list(grid.get_node_ids()) == [1001, 1002, 1003]
    run = Run.create_empty(7)
    grid.set_run(run)
    assert grid.run is run


def test_replies_belong_to_their_messages(grid: InProcessGrid) -> None:
    messages = [grid.create_message(content(n), "train", 1000 + n, "1") for n in (3, 1, 2)]
    identifiers = list(grid.push_messages(messages))
    assert len(set(identifiers)) == 3
    replies = []
    while arrived := list(grid.pull_messages(identifiers)):
        replies += arrived
    assert [reply.metadata.reply_to_message_id for reply in replies] == identifiers
    assert [reply.metadata.src_node_id for reply in replies] == [1003, 1001, 1002]
    assert {reply.metadata.dst_node_id for reply in replies} == {SUPERLINK_NODE_ID}
    assert [number_in(reply) for reply in replies] == [3 * 1003, 1001, 2 * 1002]


def test_only_those_asked_for_are_pulled_and_each_once(grid: InProcessGrid) -> None:
    messages = [grid.create_message(content(1), "train", node, "1") for node in (1001, 1002)]
    first, second = grid.push_messages(messages)
    assert list(grid.pull_messages(["17"])) == []
    assert [m.metadata.src_node_id for m in grid.pull_messages([second])] == [1002]
    assert list(grid.pull_messages([second])) == []
    assert [m.metadata.src_node_id for m in grid.pull_messages([second, first])] == [1001]


def test_nothing_runs_until_a_reply_is_pulled() -> None:
    asked: list[int] = []

    def note(message: Message, context: Context) -> Message:
        asked.append(context.node_id)
        return answer(message, context)

    grid = InProcessGrid(note, site_contexts(CONFIG, 2))
    identifiers = list(
        grid.push_messages([grid.create_message(content(1), "train", n, "1") for n in (1001, 1002)])
    )
    assert asked == []
    list(grid.pull_messages(identifiers))
    assert asked == [1001]


def test_send_and_receive_brings_all(grid: InProcessGrid) -> None:
    messages = [grid.create_message(content(1), "train", node, "1") for node in (1002, 1001)]
    assert [number_in(reply) for reply in grid.send_and_receive(messages)] == [1002, 1001]


def test_a_site_that_changes_its_message_harms_nobody() -> None:
    kept: list[RecordDict] = []

    def careless(message: Message, context: Context) -> Message:
        record = message.content.config_records["record"]
        nodes = record["nodes"]
        assert nodes == [0]
        nodes.append(context.node_id)  # type: ignore[arg-type]
        record["number"] = 0
        reply = content(context.node_id)
        kept.append(reply)
        return Message(reply, reply_to=message)

    grid = InProcessGrid(careless, site_contexts(CONFIG, 2))
    shared = content(1)  # one object for all, as Flower's strategies send it
    messages = [grid.create_message(shared, "train", node, "1") for node in (1001, 1002)]
    replies = list(grid.send_and_receive(messages))
    assert shared == content(1)
    kept[0].config_records["record"]["number"] = -1
    assert [number_in(reply) for reply in replies] == [1001, 1002]


def test_an_exception_becomes_an_error_that_says_nothing_of_the_site() -> None:
    def fail(message: Message, context: Context) -> Message:
        if context.node_id == 1001:
            raise ValueError("/data/north/patients.csv, line 3: Jane Doe")
        return answer(message, context)

    grid = InProcessGrid(fail, site_contexts(CONFIG, 2))
    messages = [grid.create_message(content(1), "train", node, "1") for node in (1001, 1002)]
    failed, fine = grid.send_and_receive(messages)
    assert failed.has_error()
    assert failed.error == Error(CLIENT_FAILED, "ValueError")
    assert failed.metadata.src_node_id == 1001
    assert number_in(fine) == 1002


@pytest.mark.parametrize("leaving", [KeyboardInterrupt, SystemExit])
def test_an_interruption_is_no_error_of_a_site(leaving: type[BaseException]) -> None:
    def interrupt(message: Message, context: Context) -> Message:
        raise leaving

    grid = InProcessGrid(interrupt, site_contexts(CONFIG, 1))
    with pytest.raises(leaving):
        grid.send_and_receive([grid.create_message(content(1), "train", 1001, "1")])


def test_contexts_are_as_flowers_simulation_gives_them() -> None:
    contexts = site_contexts(CONFIG, 2)
    assert [context.node_id for context in contexts] == [1001, 1002]
    found = [site_folders(context.node_config, CONFIG) for context in contexts]
    assert [str(folder) for (folder,) in found] == ["/data/north", "/data/east"]
    for context in [*contexts, coordinator_context(CONFIG)]:
        assert parse_run_config(context.run_config) == CONFIG
    contexts[0].state["x"] = ConfigRecord()
    assert "x" not in contexts[1].state
