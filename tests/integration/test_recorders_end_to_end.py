"""A simulation that is recorded, interrupted and continued, seen through the others' readers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from shared.run.events import Event, RoundFinished, Warned, listening

pytestmark = pytest.mark.usefixtures("undrawn")
Here = Callable[..., tuple[int, str, str]]
TINY = [
    word
    for setting in ("backbone=micro", "weights=random", "image-size=32", "threads=1",
                    "probe-rounds=1", "rounds=3", "for-others=true")
    for word in ("--set", setting)
]  # fmt: skip


def curve(run: Path, tag: str) -> list[tuple[int, float]]:
    reader = EventAccumulator(str(run / "tensorboard")).Reload()
    return [(event.step, event.value) for event in reader.Scalars(tag)]


def test_a_run_that_is_interrupted_and_continued(
    tmp_path: Path, write_site: Callable[..., Path], here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, run = tmp_path / "mlflow.db", tmp_path / "run"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    sites = [
        write_site(tmp_path, "north", 60),
        write_site(tmp_path, "south", 50, seed=2),
        write_site(tmp_path, "east", 20, seed=1, min_cell=9),
    ]
    said: list[Event] = []

    def interrupt(event: Event) -> None:
        said.append(event)
        if isinstance(event, RoundFinished) and event.round == 2:
            raise KeyboardInterrupt

    with listening(interrupt):
        assert here("simulate", *sites, *TINY, "--tensorboard", "--out", run)[0] == 130
    assert [step for step, _ in curve(run, "loss")] == [1, 2]
    with listening(said.append):
        assert here("simulate", "--resume", "--out", run)[0] == 0
    assert not [event for event in said if isinstance(event, Warned)]

    lines = [json.loads(one) for one in (run / "ledger.jsonl").read_text("utf-8").splitlines()]
    losses = [(line["round"], line["loss"]) for line in lines]
    assert [step for step, _ in losses] == [1, 2, 3, 4]
    _check_tensorboard(run, losses)
    _check_mlflow(store, run, losses)


def _check_tensorboard(run: Path, losses: list[tuple[int, float]]) -> None:
    shown = curve(run, "loss")
    assert [step for step, _ in shown] == [step for step, _ in losses]
    assert [v for _, v in shown] == pytest.approx([v for _, v in losses], rel=1e-6)
    tags = EventAccumulator(str(run / "tensorboard")).Reload().Tags()["scalars"]
    # East has fewer than nine patients of a class, and south is hidden so that east stays so.
    assert {tag for tag in tags if tag.startswith("site/")} == {
        "site/north/loss", "site/north/auroc",
    }  # fmt: skip
    summary = json.loads((run / "summary.json").read_text("utf-8"))
    assert curve(run, "final/auroc")[0][1] == pytest.approx(summary["pooled"]["auroc"])


def _check_mlflow(store: Path, run: Path, losses: list[tuple[int, float]]) -> None:
    from mlflow.tracking import MlflowClient

    client: Any = MlflowClient(f"sqlite:///{store}")
    experiment = client.get_experiment_by_name("fedthaw").experiment_id
    (found,) = client.search_runs([experiment])
    assert found.info.status == "FINISHED"
    assert found.data.tags["fedthaw.run"] == json.loads((run / "config.json").read_text())["run"]
    history = client.get_metric_history(found.info.run_id, "loss")
    assert sorted((metric.step, metric.value) for metric in history) == losses
    assert not [name for name in found.data.metrics if "east" in name or "south" in name]
    files = {file.path for file in client.list_artifacts(found.info.run_id)}
    assert files == {"config.json", "summary.json"}
