from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from client.data.cache import ImageCache
from client.data.cohort import Radiograph
from client.data.dataset import Sample
from client.evaluate import evaluate_samples, predict_logits
from client.scores import score_patients
from shared.errors import FedThawError
from shared.metrics.histogram import SCORE_BINS, Histogram
from shared.model.network import Network
from shared.outcome.binary import BINARY

MakeSamples = Callable[..., list[Sample]]
MakeModel = Callable[..., Network]


def sample_of(patient: str, label: int, site: str = "north") -> Sample:
    cache: ImageCache = None  # type: ignore[assignment]  # no pixel is read here
    return Sample(Radiograph("0", patient, label, None), site, cache)


def logit_of_mean(logits: list[float]) -> float:
    """A patient's mean probability as a logit, with numpy alone."""
    mean = np.mean([1 / (1 + np.exp(-np.float64(logit))) for logit in logits])
    return float(np.log(mean / (1 - mean)))


patients_logits = st.lists(
    st.lists(st.floats(-12, 12), min_size=1, max_size=4), min_size=1, max_size=8
)


def patient_histogram(samples: Sequence[Sample], logits: Sequence[float]) -> Histogram:
    return BINARY.count(score_patients(samples, np.array(logits)))


@given(patients=patients_logits, order=st.randoms())
def test_a_patients_score_is_the_mean_probability_of_the_images(
    patients: list[list[float]], order: Random
) -> None:
    scores = [logit_of_mean(own) for own in patients]
    # Not where the last bit of a probability decides on which side of an edge it is counted.
    assume(all(abs(score * 32 - round(score * 32)) > 1e-6 for score in scores))
    images = [
        (sample_of(f"P{number}", number % 2), logit)
        for number, own in enumerate(patients)
        for logit in own
    ]
    order.shuffle(images)
    histogram = patient_histogram([s for s, _ in images], [logit for _, logit in images])
    bins = np.digitize(scores, np.linspace(-8, 8, 513))
    for label, counted in ((1, histogram.positives), (0, histogram.negatives)):
        assert counted.tolist() == np.bincount(bins[label::2], minlength=SCORE_BINS).tolist()


def test_patients_of_one_number_at_two_sites_stay_apart() -> None:
    samples = [sample_of("P1", 1, "north"), sample_of("P1", 0, "south"), sample_of("P1", 1)]
    histogram = patient_histogram(samples, [2.01, -2.01, 2.01])
    assert (histogram.total_positives, histogram.total_negatives) == (1, 1)
    assert histogram == Histogram.from_logits([2.01, -2.01], [1, 0])


def test_scores_without_end_are_counted_in_the_last_bins() -> None:
    samples = [sample_of("P1", 1), sample_of("P2", 0)]
    histogram = patient_histogram(samples, [90.0, -2000.0])
    assert histogram.positives[-1] == 1
    assert histogram.negatives[0] == 1


@pytest.mark.parametrize("batch_size", [1, 4, 7, 50])
def test_logits_are_those_of_the_network_in_eval_mode(
    make_samples: MakeSamples, make_model: MakeModel, batch_size: int
) -> None:
    samples, model = make_samples(7), make_model(dropout=0.5)
    expected = [model.eval()(sample.load()[None]).item() for sample in samples]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.train()
    steps = []
    logits = predict_logits(model, samples, batch_size, lambda: steps.append(1))
    assert logits == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert len(steps) == -(-7 // batch_size)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_the_histogram_equals_one_of_the_raw_scores(
    make_samples: MakeSamples, make_model: MakeModel
) -> None:
    patients = ["A", "B", "A", "C", "D", "C", "C", "E"]
    samples, model = make_samples(8, patients), make_model()
    logits = np.array([model.eval()(sample.load()[None]).item() for sample in samples])
    scores = {
        patient: np.mean([1 / (1 + np.exp(-logits[i])) for i in range(8) if patients[i] == patient])
        for patient in "ABCDE"
    }
    raw = [np.log(scores[patient] / (1 - scores[patient])) for patient in "ABCDE"]
    expected = Histogram.from_logits(raw, [0, 1, 0, 1, 0])
    assert evaluate_samples(model, samples, 4) == expected


def test_a_model_that_diverged_is_a_sentence(
    make_samples: MakeSamples, make_model: MakeModel
) -> None:
    model = make_model()
    with torch.no_grad():
        model.get_parameter("conv1.weight").fill_(3e38)
    with pytest.raises(FedThawError, match=r"NaN scores.*Lower the learning rates") as caught:
        predict_logits(model, make_samples(2), 2)
    assert "diverged" in caught.value.shareable
