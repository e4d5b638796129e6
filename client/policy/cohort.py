"""A run against the rules that need the site's data: how many patients, in how large steps."""

from __future__ import annotations

from client.data.dataset import Sample, batch_positions
from client.policy.refusal import Refusal, numbers
from client.policy.rules import Policy
from shared.config import RunConfig


def refused_training(policy: Policy, config: RunConfig, train: tuple[Sample, ...]) -> list[Refusal]:
    """The rules that a round on these training images breaks."""
    batches = batch_positions(len(train), config.batch_size)
    steps = len(batches) * config.local_epochs
    share = max(map(len, batches), default=0) / max(1, len(train))
    asked = f"batch-size={config.batch_size}"
    patients = patients_of(train)
    found = []
    if patients < policy.least_training_patients:
        limit = numbers(policy.least_training_patients)
        found.append(Refusal("least-training-patients", limit, None, f"here are {patients}"))
    if steps < policy.least_steps:
        detail = f"a round here has {steps}"
        found.append(Refusal("least-steps", numbers(policy.least_steps), asked, detail))
    if share > policy.largest_batch:
        detail = f"a step would take {share:.0%} of the training images"
        found.append(Refusal("largest-batch", numbers(policy.largest_batch), asked, detail))
    return found


def refused_evaluation(policy: Policy, kind: str, held_out: tuple[Sample, ...]) -> list[Refusal]:
    """The rules that an evaluation of these images breaks; an empty cohort sends nothing."""
    patients = patients_of(held_out)
    if 0 < patients < policy.least_held_out_patients:
        limit = numbers(policy.least_held_out_patients)
        return [Refusal("least-held-out-patients", limit, None, f"{kind}: {patients}")]
    return []


def patients_of(samples: tuple[Sample, ...]) -> int:
    """How many patients these images come from."""
    return len({sample.patient for sample in samples})
