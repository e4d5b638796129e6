"""What MLflow's own client reads from its database."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from server.run.folder import RunFolder
from server.run.ledger import RoundRecord, SiteRound
from server.run.process import RUN_VARIABLE
from server.tracking import mlflow as ours
from server.tracking.mlflow import mlflow_recorder
from server.tracking.recorder import Outcome
from shared.errors import ConfigError

Grow = Callable[[Iterable[int]], list[RoundRecord]]
KILLED = Outcome("interrupted")
SUMMARY: dict[str, Any] = {
    "run": "r1", "rounds": 3, "pooled": {"auroc": 0.875, "brier": 0.125},
    "missing": {"south": "/secret/south/labels.csv has no column outcome"},
}  # fmt: skip


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, which take it seconds to make."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").get_experiment_by_name("none")
    return path


@pytest.fixture
def database(empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of this test's own, which is where runs are told to go."""
    path = tmp_path / "store" / "mlflow.db"
    path.parent.mkdir()
    shutil.copy(empty_database, path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return path


class Reader:
    """MLflow's client, asked for everything there is."""

    def __init__(self, database: Path) -> None:
        from mlflow.tracking import MlflowClient

        self.client: Any = MlflowClient(f"sqlite:///{database}")

    def runs(self, experiment: str = "fedthaw") -> list[Any]:
        known = self.client.get_experiment_by_name(experiment)
        return list(self.client.search_runs([known.experiment_id]))

    def curve(self, run: Any, name: str) -> list[tuple[int, float]]:
        history = self.client.get_metric_history(run.info.run_id, name)
        return sorted((metric.step, metric.value) for metric in history)

    def document(self, run: Any, name: str, folder: Path) -> Any:
        path = self.client.download_artifacts(run.info.run_id, name, str(folder))
        return json.loads(Path(path).read_text(encoding="utf-8"))


def record(run: RunFolder, records: Iterable[RoundRecord], outcome: Outcome = KILLED) -> None:
    with mlflow_recorder(run.path) as recorder:
        for one in records:
            recorder.add(one)
        recorder.finish(outcome)


def test_its_client_finds_the_ledger(run: RunFolder, grow: Grow, database: Path) -> None:
    record(run, grow([1, 2, 3]))
    reader = Reader(database)
    (found,) = reader.runs()
    lines = [json.loads(line) for line in run.ledger.read_text(encoding="utf-8").splitlines()]
    for name, values in {
        "loss": [line["loss"] for line in lines],
        "validation/auroc": [line["validation"]["auroc"] for line in lines],
        "validation/ece": [line["validation"]["ece"] for line in lines],
        "bytes/up": [line["bytes_up"] for line in lines],
        "seconds/round": [line["seconds"] for line in lines],
        "site/east/loss": [line["sites"]["east"]["loss"] for line in lines],
    }.items():
        assert reader.curve(found, name) == list(zip([1, 2, 3], values, strict=True))
    assert not [name for name in found.data.metrics if "north" in name]


def test_who_the_run_is(run: RunFolder, database: Path) -> None:
    record(run, [])
    (found,) = Reader(database).runs()
    assert (found.info.run_name, found.info.status) == ("r1", "KILLED")
    assert found.data.tags["fedthaw.run"] == "r1"
    assert found.data.tags["fedthaw.base"] == "sha256:abc"
    assert found.data.tags["fedthaw.version.flwr"].startswith("1.")
    config = run.config.to_flat()
    shared = config.keys() - {"out", "sites", "resume"}
    without_paths = {"weights": "file", "teacher": "run"}
    assert found.data.params == {k: str(config[k]) for k in shared} | without_paths


def test_the_end_of_a_run(run: RunFolder, grow: Grow, database: Path, tmp_path: Path) -> None:
    record(run, grow([1, 2, 3]), Outcome("complete", SUMMARY))
    reader = Reader(database)
    (found,) = reader.runs()
    assert found.info.status == "FINISHED"
    assert reader.curve(found, "final/auroc") == [(3, 0.875)]
    summary = reader.document(found, "summary.json", tmp_path)
    assert {**summary, "missing": None} == {**SUMMARY, "missing": None}
    assert set(summary["missing"]) == {"south"}
    config = reader.document(found, "config.json", tmp_path)
    stored = json.loads((run.path / "config.json").read_text(encoding="utf-8"))
    assert config["versions"] == stored["versions"]
    assert config["config"]["image-size"] == 512
    assert list((database.parent / "mlruns").rglob("summary.json"))


def test_nothing_of_this_machine_goes_there(run: RunFolder, grow: Grow, database: Path) -> None:
    record(run, grow([1]), Outcome("complete", SUMMARY))
    written = [path for path in database.parent.rglob("*") if path.is_file()]
    assert len(written) == 3
    assert not [path for path in written if b"/secret/" in path.read_bytes()]


def test_a_continued_run_is_the_same_one_with_each_step_once(
    run: RunFolder, grow: Grow, database: Path
) -> None:
    records = grow(range(1, 6))
    record(run, records[:3])
    record(run, records, Outcome("failed"))
    reader = Reader(database)
    (found,) = reader.runs()
    assert found.info.status == "FAILED"
    assert reader.curve(found, "validation/auroc") == [
        (one.round, one.validation["auroc"]) for one in records
    ]
    with mlflow_recorder(run.path):
        assert reader.runs()[0].info.status == "RUNNING"


@pytest.mark.parametrize("change", ["another server", "deleted there", "damaged here"])
def test_where_mlflow_knows_it_no_longer_it_is_told_again(
    run: RunFolder, grow: Grow, database: Path, empty_database: Path, change: str
) -> None:
    records = grow([1, 2])
    record(run, records)
    reader = Reader(database)
    (old,) = reader.runs()
    match change:
        case "another server":
            shutil.copy(empty_database, database)
        case "deleted there":
            reader.client.delete_run(old.info.run_id)
        case _:
            (run.path / "mlflow.json").write_text("{", encoding="utf-8")
    record(run, records)
    new = [one for one in Reader(database).runs() if one.info.run_id != old.info.run_id]
    assert [reader.curve(one, "loss") for one in new] == [[(1, 0.5), (2, 0.5)]]


def test_more_sites_than_one_call_takes(
    run: RunFolder, make_record: Callable[..., RoundRecord], database: Path
) -> None:
    one = make_record(1)
    sites: dict[str, SiteRound] = {f"site{n:04}": one.sites["east"] for n in range(600)}
    record(run, [RoundRecord(**{**vars(one), "sites": sites})])
    (found,) = Reader(database).runs()
    assert len([name for name in found.data.metrics if name.startswith("site/")]) == 1200
    assert found.data.metrics["sites/trained"] == 600


def test_an_experiment_of_ones_own(
    run: RunFolder, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "lungs")
    record(run, [])
    assert len(Reader(database).runs("lungs")) == 1


def test_a_server_process_wants_an_absolute_path(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It works in a folder of its own that must stay empty."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    monkeypatch.setenv(RUN_VARIABLE, str(run.path))
    with pytest.raises(ConfigError, match="give an absolute path"), mlflow_recorder(run.path):
        pass


def test_nothing_phones_home(run: RunFolder, database: Path) -> None:
    record(run, [])
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert ours._LIMITS["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert is_telemetry_disabled()
