"""Patients in strata, in which they are split, dealt and drawn evenly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from shared.outcome.outcome import Outcome, OutcomeClass


def strata_of(
    labels: Mapping[str, int], outcome: Outcome
) -> list[tuple[OutcomeClass, list[str], list[str]]]:
    """For each class its patients, and those of them of whom no rarer class is.

    In the order of the classes where these exclude each other, so that both lists are the same;
    else the rarest first: splitting the few patients with a rare label first leaves enough of them
    on either side (Sechidis et al., ECML PKDD 2011). A class of one patient, who cannot be split,
    comes last, so that no other class lacks that patient. Every patient is in one of the second
    lists.
    """
    members = {
        one: [patient for patient, label in labels.items() if outcome.holds(label, one)]
        for one in outcome.classes
    }
    order = list(members)
    if not outcome.exclusive:
        order.sort(key=lambda one: (len(members[one]) < 2, len(members[one])))
    taken: set[str] = set()
    strata = []
    for one in order:
        own = [patient for patient in members[one] if patient not in taken]
        taken.update(own)
        strata.append((one, members[one], own))
    return strata


def drawing_weights(labels: Sequence[int], outcome: Outcome) -> Tensor:
    """How likely each image is drawn so that all classes are, float64 (N,), not normalised.

    The images of a class are equally likely. Of several labels it is as if a label were drawn
    first, then whether it is there, then one of the images of which that is known.
    """
    kinds = {label: [outcome.holds(label, one) for one in outcome.classes] for label in set(labels)}
    members = torch.tensor([kinds[label] for label in labels], dtype=torch.float64)
    return (members / members.sum(dim=0).clamp(min=1.0)).sum(dim=1)
