"""Patients' scores from their images'."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.predict.scores import (
    UNCHOSEN,
    ImageScore,
    choose_point,
    score_patients,
    shared_images,
)
from shared.errors import ConfigError
from shared.run.finished import Calibration, OperatingPoint

YOUDEN, SENSITIVE = OperatingPoint("youden", 0.3), OperatingPoint("sensitive", 0.1)
PROBABILITIES = st.floats(0.001, 0.999)


def image(
    patient: str, probability: float, fingerprint: str = "", *, identified: bool = True,
    counts: bool = True,
) -> ImageScore:  # fmt: skip
    return ImageScore(
        Path("x"), patient, identified, fingerprint or patient, probability, None, counts=counts
    )


@given(
    st.lists(st.tuples(st.sampled_from("abc"), PROBABILITIES), min_size=1),
    st.tuples(st.floats(-5, 5), st.floats(0.05, 20)), PROBABILITIES,
)  # fmt: skip
def test_the_mean_probability_decides(
    drawn: list[tuple[str, float]], recalibration: tuple[float, float], threshold: float
) -> None:
    point = OperatingPoint("p", threshold)
    scores = score_patients([image(*pair) for pair in drawn], point, recalibration)
    assert [score.patient for score in scores] == list(dict.fromkeys(name for name, _ in drawn))
    for score in scores:
        own = [probability for name, probability in drawn if name == score.patient]
        mean = sum(own) / len(own)
        assert score.images == len(own)
        assert score.probability == pytest.approx(mean)
        odds = np.exp(recalibration[0]) * (mean / (1 - mean)) ** recalibration[1]
        assert score.calibrated == pytest.approx(odds / (1 + odds))
        if abs(mean - threshold) > 1e-9:
            assert score.positive == (mean > threshold)


def test_a_score_at_the_threshold_is_positive() -> None:
    (score,) = score_patients([image("a", 0.3)], YOUDEN, None)
    assert (score.positive, score.calibrated) == (True, None)


def test_certain_scores_stay_what_they_are() -> None:
    scores = score_patients([image("a", 1.0), image("b", 0.0)], YOUDEN, (-1.0, 2.0))
    assert [score.calibrated for score in scores] == [1.0, 0.0]


def test_a_copy_does_not_count_again() -> None:
    (score,) = score_patients([image("a", 0.2), image("a", 0.9, counts=False)], YOUDEN, None)
    assert (score.images, score.probability) == (1, 0.2)


def test_a_file_is_never_taken_for_a_patient_of_that_name() -> None:
    scores = score_patients([image("a", 0.2), image("a", 0.8, identified=False)], YOUDEN, None)
    assert [score.probability for score in scores] == [0.2, 0.8]


def test_pictures_of_several_patients() -> None:
    images = [
        image("a", 0.1, "one"), image("b", 0.1, "one"), image("a", 0.1, "two"),
        image("a", 0.1, "two"), image("c", 0.1, "three"), image("x.png", 0.1, "three",
        identified=False),
    ]  # fmt: skip
    assert shared_images(images) == {"one"}


def test_the_operating_point() -> None:
    calibration = Calibration(None, (YOUDEN, SENSITIVE))
    assert choose_point(calibration, None) == YOUDEN
    assert choose_point(calibration, "sensitive") == SENSITIVE
    assert choose_point(None, None) == choose_point(Calibration(1.0, ()), None) == UNCHOSEN
    assert np.isclose(UNCHOSEN.threshold, 0.5)
    with pytest.raises(ConfigError, match="no operating point 'x'; it has: youden, sensitive"):
        choose_point(calibration, "x")
    with pytest.raises(ConfigError, match="no operating points, so none is called 'youden'"):
        choose_point(None, "youden")
