"""A finished run's folder, for who uses its final model; nothing here writes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

from shared.errors import ConfigError
from shared.settings.config import RunConfig
from shared.settings.parse import parse_run_config
from shared.settings.schedule import statistics_stay_at_sites
from shared.settings.setting import Scalar
from shared.storage.json_file import DamagedFile, fitting, read_json, said, typed

NOTICE = "Research software, not a medical device: no clinical decision may rest on it."
LOCAL_STATISTICS = (
    "With batch-norm=local the sites kept the BatchNorm statistics of the thawed stages, and this "
    "model has the base's: the run did not evaluate it as it is."
)


class _Config(TypedDict):
    run: str
    config: dict[str, Scalar]
    base: NotRequired[dict[str, str]]
    finding: NotRequired[str]
    created: NotRequired[str]
    versions: NotRequired[dict[str, str | None]]


class _Point(TypedDict):
    name: str
    threshold: float


class _Recalibration(TypedDict):
    intercept: float
    slope: float


class _Calibration(TypedDict):
    temperature: float | None
    operating_points: list[_Point]
    recalibration: NotRequired[_Recalibration | None]


@dataclass(frozen=True)
class StoredRun:
    """What config.json says: the run's id, its configuration, its base's digest ("" if unsaid)."""

    run: str
    config: RunConfig
    base: str
    finding: str = ""
    """What is predicted, "" where neither the settings nor the sites say."""


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold on a patient's score (mean probability, not recalibrated), and its name."""

    name: str
    threshold: float


@dataclass(frozen=True)
class Calibration:
    """What a run chose on its validation patients.

    `temperature` divides the logit of a patient's score (Guo et al., ICML 2017); None where no
    finite one exists. The first of `points` is the one to decide by; there may be none.
    """

    temperature: float | None
    points: tuple[OperatingPoint, ...]
    recalibration: tuple[float, float] | None = None
    """Intercept and slope on the logit of a patient's score, which make it a probability."""


@dataclass(frozen=True)
class FinishedRun:
    """A run with a final model.

    `calibration` is None where the run wrote none, and where it was chosen on the scores of other
    models than this one; `caution` says the latter.
    """

    stored: StoredRun
    model: Path
    calibration: Calibration | None
    caution: str | None = None

    @property
    def backbone(self) -> str:
        """Whose weights the model has."""
        return self.stored.config.backbone


def read_stored_run(path: Path) -> StoredRun:
    """Read `path`/config.json; ConfigError where it is missing or no run's configuration."""
    file = path / "config.json"
    try:
        with fitting():
            stored = typed(read_json(file), _Config)
            base = str(stored.get("base", {}).get("digest", ""))
            config = parse_run_config(stored["config"])
            finding = config.finding or stored.get("finding", "")
            return StoredRun(stored["run"], config, base, finding)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path} is not a run's folder: it has no config.json. Name the folder that a run was "
            "given with --out."
        ) from error
    except (OSError, DamagedFile, ConfigError) as error:
        raise ConfigError(
            f"{file} cannot be read as a run's configuration ({said(error)}); restore the file, or "
            "start a new run."
        ) from error


def read_finished_run(path: Path) -> FinishedRun:
    """What the folder of a finished run says.

    ConfigError where it is not a run's, where the run has no final model yet, and where
    calibration.json is damaged.
    """
    stored = read_stored_run(path)
    model = path / "model.safetensors"
    if not model.exists():
        raise ConfigError(
            f"{path} has no final model yet: continue the run with `fedthaw simulate --out {path} "
            f"--resume`, or a coordinator's with `fedthaw submit --resume {path.name}`."
        )
    if statistics_stay_at_sites(stored.config):
        return FinishedRun(stored, model, None, LOCAL_STATISTICS)
    return FinishedRun(stored, model, read_calibration(path / "calibration.json"))


def read_calibration(file: Path) -> Calibration | None:
    """What a run chose, None where it wrote no such file; ConfigError where it is damaged."""
    try:
        with fitting():
            content = typed(read_json(file), _Calibration)
            points = tuple(_point(item) for item in content["operating_points"])
            temperature = _temperature(content["temperature"])
            return Calibration(temperature, points, _recalibration(content.get("recalibration")))
    except FileNotFoundError:
        return None
    except (OSError, DamagedFile) as error:
        raise ConfigError(
            f"{file} cannot be read as a run's calibration ({said(error)}); put back the file that "
            "the run wrote, or remove it: patients are then classified at 0.5."
        ) from error


def _point(item: _Point) -> OperatingPoint:
    point = OperatingPoint(item["name"], item["threshold"])
    if not 0 < point.threshold < 1:
        raise ValueError(f"the threshold {point.threshold:g} does not lie between 0 and 1")
    return point


def _temperature(value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        raise ValueError(f"the temperature {value:g} is not above 0")
    return None if value is None else float(value)


def _recalibration(item: _Recalibration | None) -> tuple[float, float] | None:
    if item is None:
        return None
    intercept, slope = float(item["intercept"]), float(item["slope"])
    if not (math.isfinite(intercept) and 0 < slope < math.inf):
        raise ValueError(
            f"the intercept is {intercept:g} and the slope {slope:g}; both must be finite, and the "
            "slope above 0"
        )
    return intercept, slope
