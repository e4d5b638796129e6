"""calibration.json: what a finished run says of its scores."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from server.disclosure.coarse import coarse
from server.disclosure.run import Disclosure
from server.results.shown import Shown
from server.run.calibration import FILE, calibrate, write_calibration
from shared.metrics.binary import sensitivity
from shared.metrics.histogram import Histogram, bin_logits
from shared.run.finished import read_finished_run

PREVALENCE = 0.2


def balanced_model(patients: int = 3000) -> Histogram:
    """Scores of a network that saw both classes equally often: odds too high by 4, right else."""
    generator = np.random.default_rng(5)
    shift = logit(0.5) - logit(PREVALENCE)
    truth = generator.normal(logit(PREVALENCE), 0.8, patients)
    labels = (generator.random(patients) < expit(truth)).astype(np.int64)
    return Histogram.from_logits(truth + shift, labels)


def test_a_score_of_half_among_few_positives_is_no_even_chance() -> None:
    """A temperature cannot mend it: it leaves 0.5 where it is."""
    validation = balanced_model()
    document = calibrate(validation)
    fit = document["recalibration"]
    assert expit(fit["intercept"]) == pytest.approx(PREVALENCE, abs=0.03)
    calibrated = expit(fit["intercept"] + fit["slope"] * bin_logits())
    patients = validation.positives + validation.negatives
    mean = np.dot(patients, calibrated) / patients.sum()
    assert mean == pytest.approx(validation.total_positives / patients.sum())
    labels = np.repeat([1, 0], [validation.total_positives, validation.total_negatives])
    scores = np.concatenate(
        [np.repeat(bin_logits(), n) for n in (validation.positives, validation.negatives)]
    )
    oracle = LogisticRegression(C=1e12).fit(scores[:, None], labels)
    assert fit["intercept"] == pytest.approx(oracle.intercept_[0], abs=1e-3)
    assert fit["slope"] == pytest.approx(oracle.coef_[0, 0], abs=1e-3)
    assert set(document) == {
        "temperature", "recalibration", "operating_points", "positives", "negatives",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        ([-2.0] * 30 + [1.0] * 30, [0] * 30 + [1] * 30),  # the classes lie apart
        ([-1.0, 1.0] * 40, [0] * 80),
        ([-1.0, 1.0, 1.2] * 9, [0, 1, 0] * 9),  # nine positives
        ([1.0, -1.0, -0.5, 0.6] * 20, [0, 1, 0, 1] * 20),  # positives have the lower scores
    ],
)
def test_where_nothing_can_be_said_nothing_is(logits: list[float], labels: list[int]) -> None:
    validation = Histogram.from_logits(logits, labels)
    assert calibrate(validation)["recalibration"] is None


def test_hidden_totals_hide_all_that_follows_from_them() -> None:
    document = Disclosure().calibration(balanced_model(), totals=False).value
    assert document.keys() == calibrate(balanced_model()).keys()
    assert document["operating_points"] == []
    assert {value for key, value in document.items() if key != "operating_points"} == {None}


def test_thresholds_for_others_are_those_at_which_groups_of_patients_begin() -> None:
    validation = balanced_model()
    grouped = coarse(validation, Histogram.empty(), 5)
    document = Disclosure().calibration(validation, totals=True).value
    assert {"youden", "sensitivity-0.9"} <= {one["name"] for one in document["operating_points"]}
    for point in document["operating_points"]:
        edge = math.log(point["threshold"] / (1 - point["threshold"])) * 8
        assert edge == pytest.approx(round(edge), abs=1e-9)  # eighths of a logit
        share = point["name"].removeprefix("sensitivity-")
        if share != "youden":
            assert (sensitivity(validation, point["threshold"]) or 0) >= float(share)
            assert sensitivity(grouped, point["threshold"]) == sensitivity(
                validation, point["threshold"]
            )


def test_it_is_read_back(tmp_path: Path) -> None:
    validation = balanced_model()
    document = calibrate(validation)
    write_calibration(tmp_path, Shown(document))
    config = {"run": "r", "config": {"backbone": "micro"}, "base": {}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "model.safetensors").touch()
    found = read_finished_run(tmp_path).calibration
    assert found is not None
    assert found.recalibration == tuple(document["recalibration"].values())
    assert (tmp_path / FILE).exists()
