"""Orders in the runs' folders: read as they were written, and what has become of each."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from server.link.jobs.orders import (
    ORDER,
    Order,
    read_order,
    read_orders,
    settings_for_sites,
    write_order,
)
from server.run.failure import clear_failure, write_failure
from server.run.process import STOP
from shared.errors import ConfigError, RunError
from shared.settings.config import RunConfig

DIGEST = "ab" * 32


@pytest.fixture
def order(tmp_path: Path, micro_config: Callable[..., RunConfig]) -> Order:
    config = micro_config(seed=7, min_sites=3, strategy="krum")
    return Order(tmp_path / "runs" / "first", "2026-01-01T00:00:00+00:00", DIGEST, config)


def test_an_order_is_read_as_it_was_written(order: Order) -> None:
    write_order(order)
    assert read_order(order.folder) == order
    assert order.name == "first"
    assert stat.S_IMODE(order.folder.stat().st_mode) == 0o700


def test_what_becomes_of_an_order(order: Order) -> None:
    write_order(order)
    assert order.state == "waiting"
    (order.folder / STOP).touch()
    assert order.state == "waiting"  # asked to stop, and not stopped yet
    write_failure(order.folder, RunError("The run was stopped."))
    assert order.state == "stopped"
    (order.folder / STOP).unlink()
    assert order.state == "failed"
    clear_failure(order.folder)
    assert order.state == "waiting"
    write_failure(order.folder, RunError("earlier"))
    (order.folder / "summary.json").write_text("{}")
    assert order.state == "complete"


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run absent at this coordinator"):
        read_order(tmp_path / "absent")
    assert read_orders(tmp_path / "runs") == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: "",
        lambda document: "[]",
        lambda document: "null",
        lambda document: json.dumps(document)[:-5],
        lambda document: json.dumps({k: v for k, v in document.items() if k != "bundle"}),
        lambda document: json.dumps({k: v for k, v in document.items() if k != "config"}),
        lambda document: json.dumps(document | {"config": 7}),
        lambda document: json.dumps(document | {"config": {"rounds": -1}}),
        lambda document: json.dumps(document | {"config": {"unknown": 1}}),
        lambda document: b"\xff\xfe",
    ],
)
def test_a_damaged_order_is_left_out_and_the_others_are_run(
    order: Order, tmp_path: Path, damage: Callable[[object], str | bytes]
) -> None:
    write_order(order)
    bad = tmp_path / "runs" / "bad"
    bad.mkdir()
    text = damage(json.loads((order.folder / ORDER).read_text(encoding="utf-8")))
    (bad / ORDER).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError):
        read_order(bad)
    assert read_orders(tmp_path / "runs") == [order]


def test_the_oldest_comes_first(tmp_path: Path, order: Order) -> None:
    for name, when in (("b", "2026-02"), ("c", "2026-01"), ("a", "2026-02")):
        write_order(Order(tmp_path / "runs" / name, when, DIGEST, order.config))
    assert [one.name for one in read_orders(tmp_path / "runs")] == ["c", "a", "b"]


def test_sites_are_not_told_of_the_coordinators_folders(
    micro_config: Callable[..., RunConfig],
) -> None:
    config = micro_config(out="/secret/runs/7", sites="/secret/north,/secret/east", seed=3)
    sent = settings_for_sites(config)
    assert "/secret" not in json.dumps(sent)
    assert sent["seed"] == 3
    own = {"out", "resume", "sites", "pooled", "quick"}
    assert sent.keys() == config.to_flat().keys() - own
