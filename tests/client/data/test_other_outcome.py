"""Outcomes other than a finding at a site: splits, folds, blocks, draws, targets and training."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from client.data.blocks import deal_blocks
from client.data.cohort import Cohort, Radiograph
from client.data.dataset import RadiographDataset, Sample, draw_epoch
from client.data.split import Folds, held_out_patients, split_patients
from client.data.strata import drawing_weights
from client.train.trainer import train_round
from shared.errors import SiteError
from shared.model.network import build_network
from shared.outcome.classes import ClassesOutcome
from shared.outcome.labels import LabelsOutcome
from shared.outcome.ordinal import OrdinalOutcome
from shared.outcome.outcome import Outcome
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round

SEVERITY = OrdinalOutcome(("no", "mild", "severe"))
LUNGS = LabelsOutcome(("effusion", "oedema", "fracture"))
MOST = 3 ** len(LUNGS.names) - 1


def cohort(labels: list[int], outcome: Outcome = SEVERITY) -> Cohort:
    pictures = tuple(Radiograph(f"d{n}", f"P{n}", label, None) for n, label in enumerate(labels))
    return Cohort("north", pictures, outcome)


def test_counts_folds_and_splits_are_of_each_class() -> None:
    whole = cohort([n % 3 for n in range(30)])
    assert whole.counts().to_json() == {
        "no_patients": 10, "mild_patients": 10, "severe_patients": 10,
        "no_images": 10, "mild_images": 10, "severe_images": 10,
    }  # fmt: skip
    split = split_patients(whole, 0.25, 0, Folds(5, 1))
    for part, each in ((split.test, 2), (split.validation, 2), (split.train, 6)):
        assert [one.patients for one in part.counts().classes] == [each, each, each]
        assert part.outcome is SEVERITY
    for block in deal_blocks(whole.patients(), "north", 5, SEVERITY):
        assert {whole.patients()[patient] for patient in block} == {0, 1, 2}


def test_a_class_that_a_site_has_once_is_trained_on_and_one_that_it_lacks_is_no_obstacle() -> None:
    split = split_patients(cohort([0] * 8 + [2]), 0.25, 3)
    assert [one.patients for one in split.train.counts().classes] == [6, 0, 1]
    assert [one.patients for one in split.validation.counts().classes] == [2, 0, 0]
    assert deal_blocks({f"P{n}": 0 for n in range(10)}, "north", 5, SEVERITY) != ()
    with pytest.raises(SiteError, match="3 patients, and no two of the same class"):
        split_patients(cohort([0, 1, 2]), 0.25, 3)


@settings(max_examples=60, deadline=None)
@example([1, 8, 9, 20], 0.1, 0)  # two have a label in common, and each another one alone
@given(
    st.lists(st.integers(1, MOST), min_size=4, max_size=40),
    st.sampled_from([0.1, 0.2, 0.5]),
    st.integers(0, 9),
)
def test_patients_of_each_label_are_on_both_sides(
    labels: list[int], fraction: float, seed: int
) -> None:
    whole = cohort(labels, LUNGS)
    try:
        split = split_patients(whole, fraction, seed)
    except SiteError:  # where no two patients have anything in common that is known
        counts = [one.patients for one in whole.counts().classes]
        assert max(counts) < 2
        return
    train, validation = split.train.patients(), split.validation.patients()
    assert {**train, **validation} == whole.patients()
    assert not train.keys() & validation.keys()
    rarest = min(
        (one for one in whole.counts().classes if one.patients), key=lambda one: one.patients
    )
    if rarest.patients >= 2:
        of_train, of_validation = (
            {one.word: one.patients for one in part.counts().classes}
            for part in (split.train, split.validation)
        )
        assert of_train[rarest.word] >= 1
        assert of_validation[rarest.word] >= 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, MOST), min_size=1, max_size=30), st.integers(2, 5))
def test_each_patient_with_labels_is_held_out_once(labels: list[int], count: int) -> None:
    whole = cohort(labels, LUNGS)
    folds = [held_out_patients(whole, 1, Folds(count, fold)) for fold in range(count)]
    assert sorted(patient for fold in folds for patient in fold) == sorted(whole.patients())


def test_a_joint_split_is_the_same_whatever_the_order_of_the_rows() -> None:
    labels = [1 + (7 * n) % MOST for n in range(60)]
    whole = cohort(labels, LUNGS)
    turned = Cohort(whole.site, whole.radiographs[::-1], LUNGS)
    assert split_patients(whole, 0.2, 5).validation.patients() == (
        split_patients(turned, 0.2, 5).validation.patients()
    )


def test_balanced_draws_take_every_class_equally_often() -> None:
    labels = [0] * 10 + [1] * 100 + [2] * 1000
    draws = draw_epoch(labels, balanced=True, seed=1, outcome=SEVERITY)
    drawn = [labels[draw.sample] for draw in draws]
    shares = [drawn.count(label) / len(drawn) for label in (0, 1, 2)]
    assert max(abs(share - 1 / 3) for share in shares) < 0.06


def test_a_label_that_is_drawn_is_there_as_often_as_not() -> None:
    """Against a slow loop: a label, then whether it is there, then one of its images."""
    labels = [2, 1, 1, 1, 2 + 9, 1 + 18, 27 - 1]
    expected = [0.0] * len(labels)
    for n in range(3):
        for state in (1, 2):
            members = [k for k, label in enumerate(labels) if LUNGS.digits(label)[n] == state]
            for k in members:
                expected[k] += 1 / len(members)
    torch.testing.assert_close(
        drawing_weights(labels, LUNGS), torch.tensor(expected, dtype=torch.float64)
    )


@pytest.mark.parametrize("outcome", [SEVERITY, ClassesOutcome(SEVERITY.names), LUNGS])
def test_a_round_trains_on_the_outcomes_targets(
    outcome: Outcome,
    make_samples: Callable[..., list[Sample]],
    micro_config: Callable[..., RunConfig],
) -> None:
    samples = make_samples(6)
    draws = draw_epoch([0, 1, 0, 1], balanced=False, seed=0)
    dataset = RadiographDataset(samples, draws, None, outcome)
    for position, draw in enumerate(draws):
        wanted = outcome.target(samples[draw.sample].radiograph.label)
        assert dataset[position][1].tolist() == wanted
    config = micro_config(outcome=str(outcome), cutmix_probability=1.0)
    model = build_network("micro", dropout=0.0, seed=1, outputs=outcome.outputs)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    plan = plan_round(config, config.probe_rounds + 1)
    trained = train_round(
        model, samples, plan, config, stream="n", moments={}, outcome=outcome
    )  # fmt: skip
    assert trained.loss > 0
    head = model.backbone.head_keys[0]
    assert model.state_dict()[head].shape[0] == outcome.outputs
    assert not torch.equal(model.state_dict()[head], before[head])
