"""A site that lies among real ones: seen to bend the model without the screen, and not with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from server.run.ledger import UNDONE, read_rounds
from server.simulation.inprocess import local_grid
from server.training.coordinate import coordinate
from shared.errors import ProtocolError
from shared.protocol.train import TrainReply
from shared.settings.config import RunConfig
from shared.wire.arrays import to_record

MakeConfig = Callable[..., RunConfig]
Lie = Callable[[TrainReply], TrainReply]


def run_with(config: RunConfig, lie: Lie | None, liar: str = "east", at: int = 0) -> dict[str, Any]:
    """A whole run whose `liar` changes its replies to training, in round `at` or in all."""
    grid = local_grid(config, len(config.site_folders))
    pull = grid.pull_messages

    def pulled(message_ids: Iterable[str]) -> Iterator[Message]:
        for reply in pull(message_ids):
            trained = reply.has_content() and "delta" in reply.content
            report = reply.content.config_records["report"] if trained else {}
            if lie and report.get("site") == liar and at in (0, report["round"]):
                with suppress(ProtocolError):  # its own loss may be beyond all measure by now
                    reply.content = lie(TrainReply.from_content(reply.content)).to_content()
            yield reply

    grid.pull_messages = pulled  # type: ignore[method-assign]
    return coordinate(grid, config)


def changed(reply: TrainReply, change: Callable[[Any], Any]) -> TrainReply:
    tensors = {key: change(array.numpy()).astype(np.float32) for key, array in reply.delta.items()}
    return dataclasses.replace(reply, delta=to_record(tensors))


def huge(reply: TrainReply) -> TrainReply:
    return changed(reply, lambda array: np.full(array.shape, 1e15))


def reversed_update(reply: TrainReply) -> TrainReply:
    return changed(reply, lambda array: -1000 * array)


def largest_weight(config: RunConfig) -> float:
    tensors = load_file(Path(config.out) / "model.safetensors")
    return max(float(np.abs(a).max()) for key, a in tensors.items() if "running" not in key)


@pytest.mark.parametrize("lie", [huge, reversed_update])
def test_an_update_that_no_training_makes(lie: Lie, federated: MakeConfig) -> None:
    screened = federated("screened", rounds=1, min_sites=2, update_dtype="float32")
    run_with(screened, lie)
    records = read_rounds(Path(screened.out) / "ledger.jsonl")
    assert all(set(record.sites) == {"north", "south"} for record in records)
    assert all("its update" in record.refused["east"] for record in records)
    assert largest_weight(screened) < 10
    # Without the screen it is in the average, and the others cannot go on from that.
    bare = dataclasses.replace(screened, out=f"{screened.out}-bare", update_screen="off")
    run_with(bare, lie)
    assert '"undone_for": "east"' in (Path(bare.out) / UNDONE).read_text(encoding="utf-8")


def test_weights_that_make_the_others_fail(federated: MakeConfig) -> None:
    """One poisoned round: the others say that they cannot train, and it is redone without it."""
    config = federated("poisoned", min_sites=2, update_screen="off", update_dtype="float32")
    run_with(config, lambda reply: changed(reply, lambda a: np.full(a.shape, 3e14)), at=2)
    records = read_rounds(Path(config.out) / "ledger.jsonl")
    assert [sorted(record.sites) for record in records] == [
        ["east", "north", "south"], *[["north", "south"]] * 3,
    ]  # fmt: skip
    assert '"undone_for": "east"' in (Path(config.out) / UNDONE).read_text(encoding="utf-8")
    assert largest_weight(config) < 10


@given(
    lr=st.sampled_from([1e-4, 1e-3, 1e-2]),
    epochs=st.integers(1, 3),
    batch=st.sampled_from([2, 8]),
    changes=st.fixed_dictionaries(
        {
            "update_dtype": st.sampled_from(["float32", "int8"]),
            "strategy": st.sampled_from(["fedavg", "fedadam"]),
            "optimizer": st.sampled_from(["adamw", "sgd"]),
            "batch_norm": st.sampled_from(["average", "local"]),
            "schedule": st.sampled_from(["progressive", "full"]),
            "cutmix_probability": st.sampled_from([0.0, 1.0]),
        }
    ),
)
@settings(
    max_examples=4, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
def test_no_honest_site_is_ever_refused(
    federated: MakeConfig, tmp_path_factory: pytest.TempPathFactory,
    lr: float, epochs: int, batch: int, changes: dict[str, Any],
) -> None:  # fmt: skip
    out = str(tmp_path_factory.mktemp("honest") / "run")
    config = federated(
        rounds=2,
        local_epochs=epochs,
        batch_size=batch,
        lr_head=lr,
        rates=f"{lr / 2!r},0.00025,0.0001",
        **changes,
    )
    config = dataclasses.replace(config, out=out)
    run_with(config, None)
    records = read_rounds(Path(out) / "ledger.jsonl")
    assert len(records) == config.probe_rounds + 2
    for record in records:
        assert record.refused == {}
        assert all((site.update_ratio or 0) < 10 / 2 for site in record.sites.values())
