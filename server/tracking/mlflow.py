"""One MLflow run for each run here, by MLflow's own client."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from server.run.ledger import RoundRecord
from server.run.process import RUN_VARIABLE
from server.tracking.recorder import Outcome, Recorder
from server.tracking.scalars import LAST, final_scalars, scalars
from shared.errors import ConfigError
from shared.storage.files import write_text_atomically
from shared.storage.json_file import DamagedFile, read_json, typed

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

FILE = "mlflow.json"
"""In the run's folder: under which id MLflow knows it."""
URI_VARIABLE, EXPERIMENT_VARIABLE = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
DEFAULT_EXPERIMENT = "fedthaw"

_LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    # Nothing here phones home; MLflow would, with every process.
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Read by MLflow from the environment; what is set there already stays."""
T = TypeVar("T")
_METRICS_A_CALL = 1000
_PARAMETERS_A_CALL = 100
_STATES = {"complete": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
_PATHS = frozenset({"out", "sites", "resume"})
_SQLITE = "sqlite:///"


@contextmanager
def mlflow_recorder(run: Path) -> Iterator[Recorder]:
    """Begin an MLflow run, or go on with the one that this run has there already.

    Raises whatever MLflow does, MlflowException above all, and ConfigError for a database of a
    relative path in a server process.
    """
    for name, value in _LIMITS.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    client = MlflowClient(_tracking_uri())
    document = _presentable(read_json(run / "config.json"))
    number = _continued(client, run) or _begun(client, run, document)
    done = {int(metric.step) for metric in client.get_metric_history(number, LAST)}
    last = max(done, default=0)

    def add(record: RoundRecord) -> None:
        nonlocal last
        last = record.round
        if record.round not in done:
            _log(client, number, record.round, scalars(record))
        done.discard(record.round)  # should the round be undone, it comes again with other values

    def finish(outcome: Outcome) -> None:
        if outcome.summary is not None:
            _log(client, number, last, final_scalars(outcome.summary))
            client.log_dict(number, document, "config.json")
            client.log_dict(number, _without_reasons(outcome.summary), "summary.json")
        client.set_terminated(number, _STATES[outcome.state])

    yield Recorder(add, finish)


def _tracking_uri() -> str:
    uri = os.environ[URI_VARIABLE]
    relative = uri.startswith(_SQLITE) and not uri.startswith(_SQLITE + "/")
    if relative and RUN_VARIABLE in os.environ:
        raise ConfigError(
            f"{URI_VARIABLE} is {uri}, but a server process works in a folder of its own; give "
            f"an absolute path, as in {_SQLITE}/srv/mlflow.db."
        )
    return uri


def _continued(client: MlflowClient, run: Path) -> str | None:
    """The id under which MLflow knows this run; None where it does not, or no longer."""
    from mlflow.exceptions import MlflowException

    try:
        number = typed(read_json(run / FILE), dict[str, str]).get("run_id", "")
    except (OSError, DamagedFile):
        return None
    try:
        if client.get_run(number).info.lifecycle_stage != "active":
            return None
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None  # another server than before
        raise
    client.update_run(number, status="RUNNING")
    return number


def _begun(client: MlflowClient, run: Path, document: Mapping[str, Any]) -> str:
    from mlflow.entities import Param

    versions = {f"fedthaw.version.{k}": v for k, v in document["versions"].items() if v}
    tags = {"fedthaw.run": document["run"], "fedthaw.base": document["base"]["digest"], **versions}
    created = client.create_run(_experiment(client), tags=tags, run_name=document["run"])
    number = str(created.info.run_id)
    for some in _batches(document["config"].items(), _PARAMETERS_A_CALL):
        client.log_batch(number, params=[Param(key, str(value)) for key, value in some])
    write_text_atomically(run / FILE, json.dumps({"run_id": number}) + "\n")
    return number


def _experiment(client: MlflowClient) -> str:
    name = os.environ.get(EXPERIMENT_VARIABLE) or DEFAULT_EXPERIMENT
    known = client.get_experiment_by_name(name)
    if known is not None:
        return str(known.experiment_id)
    uri = _tracking_uri()
    # Beside the database: MLflow's own default is the working directory.
    beside = Path(uri.removeprefix(_SQLITE)).absolute().parent / "mlruns"
    place = beside.as_uri() if uri.startswith(_SQLITE) else None
    return str(client.create_experiment(name, artifact_location=place))


def _log(client: MlflowClient, number: str, step: int, values: Mapping[str, float]) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    for some in _batches(values.items(), _METRICS_A_CALL):
        client.log_batch(number, metrics=[Metric(key, v, now, step) for key, v in some])


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _presentable(document: Mapping[str, Any]) -> dict[str, Any]:
    """config.json without the paths of this machine."""
    config = {k: v for k, v in document["config"].items() if k not in _PATHS}
    for key, instead in ("weights", "file"), ("teacher", "run"):
        if Path(str(config.get(key, ""))).is_absolute():
            config[key] = instead
    base = {"digest": document["base"]["digest"]}
    return {**document, "config": config, "base": base}


def _without_reasons(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The summary without the sentences of sites that failed: a simulation's may name files."""
    missing = dict.fromkeys(summary["missing"], "the run's own summary.json says why")
    return {**summary, "missing": missing}
