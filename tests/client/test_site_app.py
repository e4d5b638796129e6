from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from PIL import Image

from server.simulation.grid import InProcessGrid
from server.simulation.inprocess import local_grid
from shared.errors import (
    ConfigError,
    FedThawError,
    ImageRejected,
    RunError,
    SiteError,
    WeightsError,
)
from shared.protocol.describe import DescribeRequest, SiteDescription
from shared.protocol.replies import FAILED, UNEXPECTED, own_sites
from shared.settings.config import RunConfig

SECRET = "/data/ward-7/MUELLER^ANNA_P0042.dcm"
HANDLERS = {"query": "describe_site", "train": "train_on_site", "evaluate": "evaluate_on_site"}
REQUESTS = {"train": "TrainRequest", "evaluate": "EvaluateRequest"}


@pytest.fixture
def grid_of(
    tmp_path: Path, write_site: Callable[..., Path], micro_config: Callable[..., RunConfig]
) -> Callable[..., InProcessGrid]:
    def make(**changes: object) -> InProcessGrid:
        folder = write_site(tmp_path, "north")
        return local_grid(micro_config(**({"sites": str(folder)} | changes)), nodes=1)

    return make


def ask(grid: InProcessGrid, message_type: str, content: RecordDict) -> Message:
    (node,) = grid.get_node_ids()
    message = grid.create_message(content, message_type, node, "1")
    (reply,) = grid.send_and_receive([message])
    return reply


def test_a_site_answers_who_it_is(grid_of: Callable[..., InProcessGrid]) -> None:
    reply = ask(grid_of(), "query", DescribeRequest("run-1").to_content())
    assert not reply.has_error()
    assert SiteDescription.from_content(reply.content).name == "north"


def test_a_run_begins_with_what_is_new(
    grid_of: Callable[..., InProcessGrid], tmp_path: Path
) -> None:
    """A site's process stays up while its owner adds images; nobody restarts it for a run."""
    grid = grid_of(validation_fraction=0.5)
    said = [_describe(grid)]
    labels = tmp_path / "north" / "labels.csv"
    rng = np.random.default_rng(3)
    for number in range(1, 7):
        pixels = rng.integers(0, 256, (32, 32), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "north" / "images" / f"new-{number}.png")
        with labels.open("a", encoding="utf-8") as rows:
            rows.write(f"new-{number},new-{number}.png,{'sick' if number % 2 else 'well'}\n")
    said.append(_describe(grid))
    assert said[1].images > said[0].images
    assert said[1].patients > said[0].patients


def _describe(grid: InProcessGrid) -> SiteDescription:
    content = DescribeRequest("run-1").to_content()
    return SiteDescription.from_content(ask(grid, "query", content).content)


@pytest.mark.parametrize("message_type", ["query", "train", "evaluate"])
def test_a_message_without_its_records_is_named_as_such(
    grid_of: Callable[..., InProcessGrid], message_type: str
) -> None:
    reply = ask(grid_of(), message_type, RecordDict({"other": ConfigRecord({"a": 1})}))
    assert reply.error.code == FAILED
    assert "the message has no record" in str(reply.error.reason)


@pytest.mark.parametrize("message_type", list(HANDLERS))
@pytest.mark.parametrize(
    "error",
    [
        SiteError(f"{SECRET} cannot be read."),
        ConfigError(f"{SECRET}: no."),
        WeightsError(f"There is no weights file at {SECRET}."),
        ImageRejected(SECRET),
        RunError(SECRET),
        FedThawError(SECRET),
        OSError(28, "No space left on device", SECRET),
        FileNotFoundError(SECRET),
        KeyError(SECRET),
        ValueError(f"could not convert {SECRET}"),
        RuntimeError(SECRET),
        UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
        MemoryError(SECRET),
        AssertionError(SECRET),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_gives_nothing_of_the_site_away(
    grid_of: Callable[..., InProcessGrid],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    message_type: str,
    error: Exception,
) -> None:
    def fail(*_: object) -> None:
        raise error from ValueError(SECRET)

    monkeypatch.setattr(f"client.app.{HANDLERS[message_type]}", fail)
    content = DescribeRequest("run-1").to_content()
    if message_type in REQUESTS:
        monkeypatch.setattr(f"client.app.{REQUESTS[message_type]}.from_content", lambda *_: None)
    caplog.set_level(logging.ERROR, logger="fedthaw.site")
    reply = ask(grid_of(), message_type, content)
    assert reply.has_error()
    assert not reply.has_content()
    ours = isinstance(error, FedThawError | OSError)
    assert reply.error.code == (FAILED if ours else UNEXPECTED)
    reason = str(reply.error.reason)
    for part in ("data", "ward", "MUELLER", "ANNA", "P0042", "dcm", "/"):
        assert part not in reason
    assert "log" in reason or "fedthaw site check" in reason
    # The owner of the site reads the whole story.
    assert "P0042" in caplog.text


def test_a_missing_folder_is_not_named_to_the_coordinator(
    grid_of: Callable[..., InProcessGrid], tmp_path: Path
) -> None:
    grid = grid_of(sites=str(tmp_path / "MUELLER"))
    reply = ask(grid, "query", DescribeRequest("run-1").to_content())
    assert reply.error.code == FAILED
    assert "MUELLER" not in str(reply.error.reason)
    assert "fedthaw site check" in str(reply.error.reason)


def test_the_owner_of_a_site_reads_the_whole_error_in_the_reply_alone(
    grid_of: Callable[..., InProcessGrid], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger="fedthaw.site")
    grid = grid_of(sites=str(tmp_path / "MUELLER"))
    with own_sites():
        reply = ask(grid, "query", DescribeRequest("run-1").to_content())
    assert f"There is no site folder {tmp_path / 'MUELLER'}" in str(reply.error.reason)
    assert caplog.text == ""
    reply = ask(grid, "query", DescribeRequest("run-1").to_content())
    assert "MUELLER" not in str(reply.error.reason)


def test_settings_of_another_version_are_refused(
    grid_of: Callable[..., InProcessGrid], caplog: pytest.LogCaptureFixture
) -> None:
    grid = grid_of()
    (context,) = grid._contexts.values()
    context.run_config["learning-rate"] = 0.1
    caplog.set_level(logging.ERROR, logger="fedthaw.site")
    reply = ask(grid, "query", DescribeRequest("run-1").to_content())
    assert reply.error.code == FAILED
    assert "does not accept the run's settings" in str(reply.error.reason)
    assert "learning-rate" in caplog.text


def test_being_interrupted_is_no_reply(
    grid_of: Callable[..., InProcessGrid], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("client.app.describe_site", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ask(grid_of(), "query", DescribeRequest("run-1").to_content())
