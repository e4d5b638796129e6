"""An outcome of three classes at a site: what the outcome decides is nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from client.data.augment import cutmix
from client.data.blocks import deal_blocks
from client.data.cohort import Cohort, Radiograph
from client.data.dataset import RadiographDataset, Sample, draw_epoch
from client.data.split import Folds, split_patients
from client.train.trainer import train_round
from shared.model.network import Network
from shared.outcome.binary import BINARY
from shared.outcome.encoding import Encoding
from shared.outcome.outcome import OutcomeClass
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round

SEVERITY = replace(
    BINARY,
    name="severity",
    classes=tuple(OutcomeClass(n, word, word) for n, word in enumerate(["no", "mild", "severe"])),
    mixed_target=lambda shares: shares @ torch.tensor([0.0, 0.5, 1.0]),
    target=lambda label: label / 2,
)
COHORT = Cohort(
    "north", tuple(Radiograph(f"d{n}", f"P{n}", n % 3, None) for n in range(30)), SEVERITY
)


def test_values_mean_classes() -> None:
    encoding = Encoding(SEVERITY, (("0",), ("1", "2"), ("3",)))
    assert [encoding.label_of(value) for value in "01234"] == [0, 1, 1, 2, None]


def test_counts_folds_and_splits_are_of_each_class() -> None:
    assert COHORT.counts().to_json() == {
        "no_patients": 10, "mild_patients": 10, "severe_patients": 10,
        "no_images": 10, "mild_images": 10, "severe_images": 10,
    }  # fmt: skip
    split = split_patients(COHORT, 0.25, 0, Folds(5, 1))
    for part, each in ((split.test, 2), (split.validation, 2), (split.train, 6)):
        assert [one.patients for one in part.counts().classes] == [each, each, each]
        assert part.outcome is SEVERITY


def test_blocks_have_every_class() -> None:
    labels = COHORT.patients()
    for block in deal_blocks(labels, "north", 5, SEVERITY):
        assert {labels[patient] for patient in block} == {0, 1, 2}


def test_balanced_draws_take_every_class_equally_often() -> None:
    labels = [0] * 10 + [1] * 100 + [2] * 1000
    drawn = [labels[draw.sample] for draw in draw_epoch(labels, balanced=True, seed=1)]
    shares = [drawn.count(label) / len(drawn) for label in (0, 1, 2)]
    assert max(abs(share - 1 / 3) for share in shares) < 0.06


def test_targets_are_the_outcomes(make_samples: Callable[..., list[Sample]]) -> None:
    samples = make_samples(4)
    draws = draw_epoch([0, 1, 0, 1], balanced=False, seed=0)
    dataset = RadiographDataset(samples, draws, None, SEVERITY)
    for position, draw in enumerate(draws):
        assert dataset[position][1] == samples[draw.sample].radiograph.label / 2
    torch.manual_seed(0)
    _, mixed = cutmix(torch.zeros(3, 1, 32, 32), torch.tensor([0.0, 1.0, 2.0]), 1.0, SEVERITY)
    assert mixed.shape == (3,)
    assert set(mixed.tolist()) - {0.0, 0.5, 1.0}


def test_the_loss_that_trains_is_the_outcomes(
    make_samples: Callable[..., list[Sample]],
    micro_config: Callable[..., RunConfig],
    make_model: Callable[..., Network],
) -> None:
    seen: list[Sequence[float]] = []

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        seen.append(targets.tolist())
        return (logits - 3).square().mean()

    config, model = micro_config(), make_model()
    plan = plan_round(config, 1)
    other = replace(SEVERITY, loss=loss)
    trained = train_round(
        model, make_samples(6), plan, config, stream="n", moments={}, outcome=other
    )
    assert len(seen) == trained.steps > 0
    assert {target for batch in seen for target in batch} <= {0.0, 0.5}
    assert trained.loss > 1  # of a binary cross-entropy it would be about 0.7
