"""Several findings of which a patient may have any number, each known or not: a sigmoid each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from shared.outcome.outcome import Outcome, OutcomeClass, Scored

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from shared.metrics.classes.labels import LabelCounts

MISSING, ABSENT, PRESENT = 0, 1, 2
"""A label's digit in a patient's integer, to the base 3, the first label's the lowest."""


@dataclass(frozen=True)
class LabelsOutcome(Outcome):
    """Labels; of each patient at least one is known."""

    kind: ClassVar[str] = "labels"
    exclusive: ClassVar[bool] = False

    @property
    def classes(self) -> tuple[OutcomeClass, ...]:
        """For each label the patients who have it, and those who do not."""
        return tuple(
            OutcomeClass(2 * n + absent, f"{name}: {said}", f"{name}: {said}")
            for n, name in enumerate(self.names)
            for absent, said in enumerate(("yes", "no"))
        )

    @property
    def outputs(self) -> int:
        """A logit for each label."""
        return len(self.names)

    def digits(self, label: int) -> tuple[int, ...]:
        """MISSING, ABSENT or PRESENT for each label."""
        return tuple(label // 3**n % 3 for n in range(len(self.names)))

    def label_of(self, digits: Sequence[int]) -> int:
        """The integer of these digits."""
        return sum(digit * 3**n for n, digit in enumerate(digits))

    def holds(self, label: int, one: OutcomeClass) -> bool:
        """Whether the patient has, or has not, that label; neither where it is missing."""
        which, absent = divmod(one.label, 2)
        digit = self.digits(label)[which]
        return digit == (ABSENT if absent else PRESENT)

    def is_label(self, label: int) -> bool:
        """Whether a patient may have this label: not all are missing."""
        return bool(0 < label < 3 ** len(self.names))

    def merged(self, labels: Collection[int]) -> int | None:
        """What is known by any row; None where one says that a label is there, another not."""
        known = [set(digits) - {MISSING} for digits in zip(*map(self.digits, labels), strict=True)]
        if any(len(said) > 1 for said in known):
            return None
        return self.label_of([max(said, default=MISSING) for said in known])

    def target(self, label: int) -> list[float]:
        """For each label whether it is present (0 where missing), then whether each is known."""
        digits = self.digits(label)
        return [
            *(float(digit == PRESENT) for digit in digits),
            *(float(digit != MISSING) for digit in digits),
        ]

    def sides(self, label: int) -> tuple[bool | None, ...]:
        """For each label whether it is present; None where it is missing."""
        known = {PRESENT: True, ABSENT: False}
        return tuple(known.get(digit) for digit in self.digits(label))

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy, its mean over the labels that are known; 0 where none is.

        Logits (N, labels), or (N,) of one; targets (N, 2 labels). Of a mixed image each label
        counts by the share of the image of which it is known.
        """
        from torch.nn.functional import softplus

        present, known = targets.chunk(2, dim=1)
        own = logits.float().reshape(present.shape)
        each = present * softplus(-own) + (known - present) * softplus(own)
        total: Tensor = each.sum() / known.sum().clamp(min=1e-6)
        return total

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sigmoid of each."""
        from scipy.special import expit

        found: NDArray[np.float64] = expit(logits)
        return found

    def activation(self, logits: Tensor) -> Tensor:
        """The sigmoid of each."""
        return logits.reshape(-1, self.outputs).sigmoid()

    def taught(self, logits: Tensor) -> Tensor:
        """The probability of each label, all of them known."""
        import torch

        present = logits.reshape(len(logits), -1).sigmoid()
        return torch.cat([present, torch.ones_like(present)], dim=1)

    def explained(self, logits: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """The highest logit."""
        highest, which = logits.reshape(-1, self.outputs).max(dim=1)
        return highest, tuple(which.tolist())

    def said(self, label: int) -> tuple[str, ...]:
        """The labels that are present."""
        digits = self.digits(label)
        return tuple(n for n, digit in zip(self.names, digits, strict=True) if digit == PRESENT)

    def by_name(self, scores: Sequence[float]) -> tuple[float, ...]:
        """The scores themselves."""
        return tuple(scores)

    def predicted(self, scores: Sequence[float]) -> int:
        """Each label is present from one half on."""
        return self.label_of([PRESENT if score >= 0.5 else ABSENT for score in scores])

    def count(self, patients: Sequence[Scored]) -> LabelCounts:
        """For each label the patients of whom it is known, by the bin of its score."""
        import numpy as np

        from shared.metrics.classes.labels import MISSING as UNKNOWN
        from shared.metrics.classes.labels import LabelCounts
        from shared.metrics.histogram import bin_of_probability

        if not patients:
            return self.empty()
        counted = {MISSING: UNKNOWN, ABSENT: 0, PRESENT: 1}
        return LabelCounts.from_bins(
            bin_of_probability(np.array([one.scores for one in patients], dtype=np.float64)),
            [[counted[digit] for digit in self.digits(one.label)] for one in patients],
        )

    def empty(self) -> LabelCounts:
        """The counts of nobody."""
        from shared.metrics.classes.labels import LabelCounts

        return LabelCounts.empty(len(self.names))
