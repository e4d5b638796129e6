"""A finished run's folder as its users read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from shared.errors import ConfigError, WeightsError
from shared.model.final import load_final_model
from shared.run.finished import LOCAL_STATISTICS, Calibration, OperatingPoint, read_finished_run

Write = Callable[..., Path]
POINTS = [{"name": "youden", "threshold": 0.3}, {"name": "sensitive", "threshold": 0.1}]


def test_what_the_folder_says(tmp_path: Path, write_finished: Write) -> None:
    calibration = {"temperature": 1.5, "operating_points": POINTS, "more": 1}
    finished = read_finished_run(write_finished(tmp_path / "run", calibration, image_size=48))
    assert (finished.stored.run, finished.stored.base) == ("r-1", "sha256:ab")
    assert (finished.stored.config.backbone, finished.stored.config.image_size) == ("micro", 48)
    points = (OperatingPoint("youden", 0.3), OperatingPoint("sensitive", 0.1))
    assert finished.calibration == Calibration(1.5, points)
    assert finished.caution is None


@pytest.mark.parametrize(
    ("changes", "foreign"),
    [
        ({}, True),
        ({"schedule": "full"}, True),
        # The head has no BatchNorm: nothing stayed at the sites.
        ({"schedule": "probe"}, False),
        ({"batch_norm": "frozen"}, False),
    ],
)
def test_what_was_chosen_on_other_models_is_not_this_ones(
    tmp_path: Path, write_finished: Write, changes: dict[str, Any], *, foreign: bool
) -> None:
    chosen = {"temperature": 1.5, "operating_points": POINTS}
    run = write_finished(tmp_path / "run", chosen, **({"batch_norm": "local"} | changes))
    finished = read_finished_run(run)
    assert (finished.calibration is None) == foreign
    assert finished.caution == (LOCAL_STATISTICS if foreign else None)


def test_without_a_calibration_there_is_none(tmp_path: Path, write_finished: Write) -> None:
    assert read_finished_run(write_finished(tmp_path / "a")).calibration is None
    empty = write_finished(tmp_path / "b", {"temperature": None, "operating_points": []})
    assert read_finished_run(empty).calibration == Calibration(None, ())


def test_intercept_and_slope(tmp_path: Path, write_finished: Write) -> None:
    fit = {"intercept": -1.25, "slope": 0.5}
    document: dict[str, Any] = {"temperature": None, "operating_points": [], "recalibration": fit}
    run = write_finished(tmp_path / "run", document)
    assert read_finished_run(run).calibration == Calibration(None, (), (-1.25, 0.5))


@pytest.mark.parametrize(
    "calibration",
    [
        {},
        {"temperature": 1.0},
        {"temperature": 0, "operating_points": []},
        {"temperature": "warm", "operating_points": []},
        {"temperature": None, "operating_points": [{"name": "x", "threshold": 1.5}]},
        {"temperature": None, "operating_points": [{"threshold": 0.5}]},
        {"temperature": None, "operating_points": [{"name": "x", "threshold": None}]},
        {"temperature": None, "operating_points": [], "recalibration": {"intercept": 0}},
        {
            "temperature": None,
            "operating_points": [],
            "recalibration": {"intercept": 0, "slope": -1},
        },
    ],
)
def test_a_damaged_calibration_is_refused(
    tmp_path: Path, write_finished: Write, calibration: dict[str, Any]
) -> None:
    run = write_finished(tmp_path / "run", calibration)
    with pytest.raises(ConfigError, match="cannot be read as a run's calibration"):
        read_finished_run(run)


def test_what_is_no_finished_run_is_refused(tmp_path: Path, write_finished: Write) -> None:
    with pytest.raises(ConfigError, match=r"not a run's folder: it has no config\.json"):
        read_finished_run(tmp_path)
    run = write_finished(tmp_path / "run")
    (run / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="has no final model yet"):
        read_finished_run(run)
    (run / "config.json").write_text('{"run": "x"}', encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be read as a run's configuration"):
        read_finished_run(run)


def test_the_network_has_the_files_weights(tmp_path: Path, write_finished: Write) -> None:
    finished = read_finished_run(write_finished(tmp_path / "run", dropout=0.5))
    network, stored = (
        load_final_model(finished.model, finished.backbone),
        load_file(finished.model),
    )
    assert not network.training
    for key, value in network.state_dict().items():
        assert torch.equal(value, stored[key]) or key.endswith("num_batches_tracked")


@pytest.mark.parametrize(("spoil", "said"), [("fc.weight", "no head"), ("conv1.weight", "missing")])
def test_a_model_that_lacks_a_tensor_is_refused(
    tmp_path: Path, write_finished: Write, spoil: str, said: str
) -> None:
    finished = read_finished_run(write_finished(tmp_path / "run"))
    state = load_file(finished.model)
    save_file({key: value for key, value in state.items() if key != spoil}, finished.model)
    with pytest.raises(WeightsError, match=said):
        load_final_model(finished.model, finished.backbone)
