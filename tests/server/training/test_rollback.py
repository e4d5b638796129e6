"""A round whose weights most sites cannot use is undone, and redone without its cause."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Error, Message, RecordDict

from server.run.ledger import UNDONE, read_rounds
from server.training import rollback
from server.training.coordinate import coordinate
from shared.errors import RunError
from shared.model.resnet import MICRO
from shared.protocol.candidates import CandidatesRequest
from shared.protocol.evaluate import EvaluateRequest
from shared.protocol.replies import DIVERGED
from shared.protocol.train import TrainReply, TrainRequest
from shared.run.events import Event, Warned, listening
from shared.settings.config import RunConfig
from shared.storage.files import write_text_atomically
from shared.wire.arrays import to_record

MakeSites = Callable[..., tuple[Any, Any]]
LIAR = "west"
NAMES = ("east", "north", "south", LIAR)
REQUESTS: dict[str, Any] = {
    "train": TrainRequest,
    "evaluate": EvaluateRequest,
    "evaluate.candidates": CandidatesRequest,
}


class Federation:
    """Scripted sites, one of which poisons a round; the others notice by the size of weights."""

    def __init__(self, make_sites: MakeSites, config: RunConfig, folder: Path) -> None:
        self.make_sites, self.config, self.folder = make_sites, config, folder
        self.poisoned = 0
        self.stop_at: tuple[int, str] | None = None
        self.asked: list[tuple[int, str]] = []

    def run(self, out: str = "run", names: tuple[str, ...] = NAMES, **changes: Any) -> list[str]:
        """One coordinator's life; returns its warnings."""
        sites, grid = self.make_sites(names)
        answer = sites

        def lie(name: str, asked: Message, reply: RecordDict) -> RecordDict:
            if asked.metadata.message_type != "train":
                return reply
            number = int(asked.metadata.group_id)
            self.asked.append((number, name))
            if self.stop_at == (number, name):
                raise KeyboardInterrupt
            if name == LIAR and number == self.poisoned:
                content = TrainReply.from_content(reply)
                huge = {
                    key: np.full(array.shape, 1e9, np.float32)
                    for key, array in content.delta.items()
                }
                return dataclasses.replace(content, delta=to_record(huge)).to_content()
            return reply

        def notice(message: Message, context: Any) -> Message:
            kind = message.metadata.message_type
            if kind in REQUESTS:
                delta = REQUESTS[kind].from_content(message.content, MICRO).model.delta
                largest = max((np.abs(a.numpy()).max() for a in delta.values()), default=0)
                own = names[context.node_id - 1001]
                if largest > 1e6 and own != LIAR:
                    error = Error(DIVERGED, "its loss is no longer finite")
                    return Message(error, reply_to=message)
            reply: Message = answer(message, context)
            return reply

        sites.spoil = lie
        grid._site_app = notice
        events: list[Event] = []
        config = dataclasses.replace(
            self.config, out=str(self.folder / out), update_screen="off", **changes
        )
        with listening(events.append):
            coordinate(grid, config)
        return [event.text for event in events if isinstance(event, Warned)]

    def bytes(self, out: str) -> bytes:
        return (self.folder / out / "model.safetensors").read_bytes()


@pytest.fixture
def federation(make_sites: MakeSites, config: RunConfig, tmp_path: Path) -> Federation:
    return Federation(make_sites, config, tmp_path)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("poisoned", [1, 3, 5])
def test_the_round_is_redone_without_the_outlier(
    federation: Federation, tmp_path: Path, poisoned: int
) -> None:
    federation.poisoned = poisoned
    (warning,) = [text for text in federation.run() if "undone" in text]
    assert warning.startswith(f"Round {poisoned} is undone: most of the sites could not")
    assert f"the update of {LIAR} stood out" in warning
    records = read_rounds(tmp_path / "run" / "ledger.jsonl")
    assert [LIAR in record.sites for record in records] == [n < poisoned for n in range(1, 6)]
    for record in records[poisoned - 1 :]:
        assert f"its update of round {poisoned} stood out" in record.refused[LIAR]
    (undone,) = lines(tmp_path / "run" / UNDONE)
    assert (undone["round"], undone["undone_for"]) == (poisoned, LIAR)
    assert undone["sites"][LIAR]["update_ratio"] > 1e6
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert LIAR in summary["missing"]
    # As if that site had failed from that round on.
    if poisoned == 1:
        federation.poisoned = 0
        federation.run("without", NAMES[:3])
        assert federation.bytes("run") == federation.bytes("without")


@pytest.mark.parametrize("at", [(3, "east"), (4, "north"), (5, "south")])
def test_resumed_it_ends_with_the_same_bytes(federation: Federation, at: tuple[int, str]) -> None:
    federation.poisoned = 3
    federation.run("whole")
    federation.stop_at = at
    with pytest.raises(KeyboardInterrupt):
        federation.run("cut")
    federation.stop_at = None
    federation.asked.clear()
    federation.run("cut", resume=True)
    assert federation.bytes("cut") == federation.bytes("whole")
    if at[0] == 5:  # excluded is excluded, also after the run was continued
        assert LIAR not in {name for _, name in federation.asked}


def test_killed_before_the_ledger_is_cut_it_ends_with_the_same_bytes(
    federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation.poisoned = 3
    federation.run("whole")
    undone = tmp_path / "cut" / UNDONE

    def kill(path: Path, text: str) -> None:
        if undone.exists():
            raise KeyboardInterrupt
        write_text_atomically(path, text)

    with monkeypatch.context() as patch:
        patch.setattr("server.run.ledger.write_text_atomically", kill)
        with pytest.raises(KeyboardInterrupt):
            federation.run("cut")
    assert len(read_rounds(tmp_path / "cut" / "ledger.jsonl")) == 3
    assert [line["undone_for"] for line in lines(undone)] == [LIAR]
    federation.run("cut", resume=True)
    assert federation.bytes("cut") == federation.bytes("whole")
    assert LIAR not in read_rounds(tmp_path / "cut" / "ledger.jsonl")[2].sites


def test_where_no_update_stands_out_the_run_ends_and_says_so(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation.poisoned = 3
    monkeypatch.setattr(rollback, "SUSPICIOUS", 1e30)
    with pytest.raises(RunError, match="could not use the weights of round 3"):
        federation.run()


def test_with_too_few_left_it_is_said_whose_update_it_was(federation: Federation) -> None:
    federation.poisoned = 2
    with pytest.raises(RunError, match=f"the update of {LIAR} stood out .* Without {LIAR} there"):
        federation.run(min_sites=4)
    federation.run(min_sites=3, resume=True)
