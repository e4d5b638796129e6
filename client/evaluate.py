"""Patient-level scores of a cohort, and their counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from client.data.dataset import Sample
from client.features.feature_set import FeatureSet
from client.features.views import Wanted
from client.scores import KeptScore, Logits, score_patients
from shared.errors import FedThawError
from shared.metrics.classes.kinds import Counts
from shared.model.network import Network
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome


@torch.no_grad()
def predict_logits(
    model: Network,
    samples: Sequence[Sample],
    batch_size: int,
    on_step: Callable[[], None] = lambda: None,
    features: FeatureSet | None = None,
) -> Logits:
    """The logits of each image, in the order of `samples`; in float32 whatever trained the model.

    `features`, of these samples, save the frozen stages. Raises FedThawError where the model's
    weights have grown so that a logit is no number.
    """
    model.eval()
    batches: list[Logits] = []
    for batch in _logits(model, samples, batch_size, features):
        batches.append(batch.float().cpu().numpy().astype(np.float64))
        on_step()
    if not batches:
        return np.zeros((0, *([] if model.outputs == 1 else [model.outputs])))
    logits: Logits = np.concatenate(batches)
    require_numbers(logits)
    return logits


def require_numbers(logits: Logits) -> None:
    """Raise FedThawError where a logit is NaN."""
    if np.isnan(logits).any():
        raise FedThawError(
            "The model gives NaN scores: its training has diverged. Lower the "
            "learning rates (lr-head, rates) of the run.",
            shareable="the model received has diverged; lower the run's learning rates",
            diverged=True,
        )


def _logits(
    model: Network, samples: Sequence[Sample], batch_size: int, features: FeatureSet | None
) -> Iterator[Tensor]:
    starts = range(0, len(samples), batch_size)
    if features is None:
        device = model.device
        for start in starts:
            images = torch.stack([sample.load() for sample in samples[start : start + batch_size]])
            yield model(images.to(device))
        return
    numbers = range(len(samples))
    wanted = [[Wanted(n, 0) for n in numbers[start : start + batch_size]] for start in starts]
    for inputs in features.batches(wanted):
        yield model.rest(inputs, features.boundary)


def score_samples(
    model: Network,
    samples: Sequence[Sample],
    batch_size: int,
    on_step: Callable[[], None] = lambda: None,
    features: FeatureSet | None = None,
    outcome: Outcome = BINARY,
) -> list[KeptScore]:
    """Each patient's score under the model, which is put into eval mode."""
    logits = predict_logits(model, samples, batch_size, on_step, features)
    return score_patients(samples, logits, outcome)


def evaluate_samples(
    model: Network, samples: Sequence[Sample], batch_size: int, outcome: Outcome = BINARY
) -> Counts:
    """The counts of a cohort under the model, which is put into eval mode."""
    scores = score_samples(model, samples, batch_size, outcome=outcome)
    return outcome.count(scores)
