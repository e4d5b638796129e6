"""One training run of the recipe benchmark, and what was measured of it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.settings.config import RunConfig
from shared.settings.overrides import parse_overrides
from shared.settings.parse import parse_run_config

Kind = Literal["fedthaw", "stock", "plain"]


@dataclass(frozen=True)
class Job:
    """What is trained: `settings` are KEY=VALUE of a run; every path is absolute."""

    arm: str
    kind: Kind
    seed: int
    settings: tuple[str, ...]
    sites: tuple[str, ...]
    external: str
    stock_clients: int = 1
    """Clients that stock Flower trains side by side; the cores are shared out among them."""
    stock_rate: float = 1e-4
    plain_workers: int = 0
    """Processes that load the plain recipe's images."""
    side_by_side: bool = False
    """FedThaw's sites train side by side too, on Flower's engine, with one thread each."""

    def config(self) -> RunConfig:
        """The settings as FedThaw reads them."""
        return parse_run_config(parse_overrides([*self.settings, f"seed={self.seed}"]))


@dataclass(frozen=True)
class Trained:
    """What an arm reports of its training."""

    seconds: float
    """From the first round's begin to the last one's end, evaluations between them included."""
    all_bytes: int
    """Both directions, all messages."""
    training_bytes: int
    """Both directions, without messages that only evaluate."""


@dataclass(frozen=True)
class Result:
    """A finished job: its training, the whole time of its process, the external AUROC."""

    job: Job
    trained: Trained
    total_seconds: float
    auroc: float


def model_path(folder: Path) -> Path:
    """Where an arm leaves its final model, with the names of torchvision's network."""
    return folder / "model.safetensors"


def write_job(folder: Path, job: Job) -> Path:
    path = folder / "job.json"
    path.write_text(json.dumps(dataclasses.asdict(job), indent=1), encoding="utf-8")
    return path


def read_job(path: Path) -> Job:
    return _job(json.loads(path.read_text(encoding="utf-8")))


def write_trained(folder: Path, trained: Trained) -> None:
    (folder / "trained.json").write_text(json.dumps(dataclasses.asdict(trained)), encoding="utf-8")


def read_trained(folder: Path) -> Trained:
    return Trained(**json.loads((folder / "trained.json").read_text(encoding="utf-8")))


def write_result(folder: Path, result: Result) -> None:
    text = json.dumps(dataclasses.asdict(result), indent=1)
    (folder / "result.json").write_text(text, encoding="utf-8")


def read_result(folder: Path) -> Result | None:
    """The result that lies there, or None where the job has not been finished."""
    path = folder / "result.json"
    if not path.exists():
        return None
    fields = json.loads(path.read_text(encoding="utf-8"))
    job, trained = _job(fields.pop("job")), Trained(**fields.pop("trained"))
    return Result(job, trained, **fields)


def _job(fields: dict[str, object]) -> Job:
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return Job(**(fields | lists))  # type: ignore[arg-type]
