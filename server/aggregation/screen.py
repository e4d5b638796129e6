"""Screening a round's updates: what no honest site sends, by size and by meaning.

The tensors of an update are looked at in groups, a stage's convolutions and matrices apart from its
vectors (biases, BatchNorm's scales), its running means and its running variances, since these
differ in size by orders of magnitude. The size of a group is the root mean square of its change, in
the units of the tensors themselves.

Three rules, from the plainest to the finest:

- A variance is not negative.
- A change has a plausible size, whoever else takes part: weights by what AdamW can do in so many
  steps (after Kingma & Ba, arXiv:1412.6980, section 2.1) or, of a logistic regression, by what its
  penalty allows; everything else by its size before. This is all that can be said with two sites,
  of which neither is a majority.
- From three sites on, it is at most `factor` times the median of the others' changes. A site that
  takes more steps may go farther, in proportion. Where the others hardly change a group, the median
  counts as NEGLIGIBLE, so that noise is not compared with noise.

Measured on the four paediatric sites and parts of them (micro at 64 px, 10 to 80 training images,
1 to 5 epochs, int8, SGD, all stages; ResNet-50 pretrained): honest ratios were at most 1.7 for
weights and 3.9 for statistics, and honest changes at most 10 % of what is plausible.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.model.backbone import Backbone, Part
from shared.settings.logistic import longest_head
from shared.settings.rates import MOMENTUM_LOW
from shared.update.norm import sum_of_squares

MOST_GROWTH = 100.0
"""Largest change of weights within a round, in units of their size before it (plain SGD)."""
MOST_GROWTH_OF_STATISTICS = 1e4
"""Likewise of BatchNorm's statistics, which follow a site's images wherever the base began."""
STATISTICS_ALLOWANCE = 10.0
"""BatchNorm's statistics follow a site's images: a site that differs from n others is n times as
far from the average as they are. So `factor` is this many times larger for them."""
NEGLIGIBLE = 0.01
"""Share of a group's size before the round; smaller changes are not compared."""
_BETA1, _BETA2 = MOMENTUM_LOW, 0.999
_ADAM_STEP = (1 - _BETA1) / math.sqrt((1 - _BETA2) * (1 - _BETA1**2 / _BETA2))
"""The longest step of AdamW in one element, in units of the rate: 9.0 (Cauchy-Schwarz)."""
_ROUNDING = 1e-5
_STATISTICS = ("means", "variances")

TensorGroup = tuple[str, str]
"""A stage, and what kind of tensors: weights, vectors, means or variances."""


@dataclass(frozen=True)
class Sizes:
    """Root mean square of each group's change, and what is wrong with it in itself."""

    change: Mapping[TensorGroup, float]
    problem: str | None = None
    """Why it is not plausible, whatever the other sites send."""
    beyond_repair: bool = False
    """It cannot be clipped either: a variance is negative."""


@dataclass(frozen=True)
class Reach:
    """How far training may go in a round."""

    rates: Mapping[str, float]
    """Maximum learning rate of each stage."""
    adaptive: bool
    """AdamW, whose steps are bounded by the rate; of plain SGD the rate says nothing."""
    fitted: float = 0.0
    """`logistic-c` where the head is a logistic regression, whose penalty bounds it; sites are then
    compared by their images instead of steps. 0: the stages are trained."""


def stage_rates(backbone: Backbone, rates: Mapping[Part, float]) -> dict[str, float]:
    """The maximum learning rate of each stage, from those of a plan's parts."""
    found: dict[str, float] = {}
    for part, rate in rates.items():
        stage = backbone.units[backbone.position(part)].stage
        found[stage] = max(rate, found.get(stage, 0.0))
    return found


def group_of(backbone: Backbone, key: str, shape: Sequence[int]) -> TensorGroup:
    """The group of a tensor, by its stage and what its key ends in."""
    if key.endswith(".running_var"):
        kind = "variances"
    elif key.endswith(".running_mean"):
        kind = "means"
    else:
        kind = "weights" if len(shape) > 1 else "vectors"
    return backbone.stage_of(key), kind


@dataclass(frozen=True)
class Screen:
    """What a round's updates are held against: the weights that the sites received."""

    before: Mapping[TensorGroup, float]
    """Root mean square of each group's values as received."""
    variances: Mapping[str, NDArray[np.float32]]
    """The running variances as received."""
    reach: Reach
    factor: float
    """How many times the median of the others' changes."""
    backbone: Backbone

    @classmethod
    def of(
        cls,
        received: Iterable[tuple[str, NDArray[np.float32]]],
        reach: Reach,
        factor: float,
        backbone: Backbone,
    ) -> Screen:
        """The screen of a round whose sites receive these tensors, taken one by one."""
        before, variances = _GroupSizes(backbone), {}
        for key, array in received:
            before.add(key, array)
            if key.endswith(".running_var"):
                variances[key] = array
        return cls(before.rms(), variances, reach, factor, backbone)

    def group_of(self, key: str, shape: Sequence[int]) -> TensorGroup:
        """The group of a tensor of the network."""
        return group_of(self.backbone, key, shape)

    def measure(self, update: Mapping[str, NDArray[np.float32]], steps: int) -> Sizes:
        """The sizes of an update (weights after training minus weights received), finite values."""
        found = _GroupSizes(self.backbone)
        for key, array in update.items():
            found.add(key, array)
        change = found.rms()
        if (negative := self._negative_variance(update)) is not None:
            return Sizes(change, negative, beyond_repair=True)
        return Sizes(change, self._implausible(change, steps))

    def limit(self, group: TensorGroup, steps: int) -> float:
        """The largest plausible root mean square of a group's change in so many steps."""
        stage, kind = group
        if kind in _STATISTICS:
            return MOST_GROWTH_OF_STATISTICS * self._scale(group)
        if self.reach.fitted:
            longest = longest_head(self.reach.fitted, steps)
            values = self.backbone.features if kind == "weights" else 1
            return longest / math.sqrt(values) + self.before[group]
        trained: float = self.reach.rates.get(stage, 0.0) * steps
        if self.reach.adaptive:  # weight decay pulls to zero, by less than what is there
            return trained * _ADAM_STEP + self.before[group]
        return MOST_GROWTH * self._scale(group) + trained

    def usual(
        self, group: TensorGroup, site: str, sizes: Mapping[str, Sizes], steps: Mapping[str, int]
    ) -> float:
        """The median of the other sites' changes, were they of as many steps as this site's."""
        others: float = statistics.median(
            sizes[name].change[group] * max(1.0, steps[site] / steps[name])
            for name in sizes
            if name != site
        )
        return max(others, self._negligible(group, steps[site]))

    def allowed(self, group: TensorGroup) -> float:
        """How many times `usual` a change may be."""
        return self.factor * (STATISTICS_ALLOWANCE if group[1] in _STATISTICS else 1.0)

    def stands_out(
        self, site: str, sizes: Mapping[str, Sizes], steps: Mapping[str, int]
    ) -> tuple[TensorGroup, float]:
        """The group in which a site differs most from the others, and its ratio to `usual`.

        Ratios of statistics are divided by STATISTICS_ALLOWANCE. `sizes` has another site.
        """
        ratios = {
            group: (change / usual if (usual := self.usual(group, site, sizes, steps)) else 0.0)
            * (self.factor / self.allowed(group))
            for group, change in sizes[site].change.items()
        }
        worst = max(ratios, key=lambda group: ratios[group])
        return worst, ratios[worst]

    def _negligible(self, group: TensorGroup, steps: int) -> float:
        small = NEGLIGIBLE * self._scale(group)
        if group[1] == "vectors":
            # The head's bias is one number, which may hardly move at all the other sites.
            return max(small, self.reach.rates.get(group[0], 0.0) * steps)
        return small

    def _scale(self, group: TensorGroup) -> float:
        """The size of a group before; of means, which may all be zero, by what they vary."""
        stage, kind = group
        own = self.before[group]
        if kind == "means":
            return max(own, math.sqrt(self.before.get((stage, "variances"), 0.0)))
        return own

    def _negative_variance(self, update: Mapping[str, NDArray[np.float32]]) -> str | None:
        for key, before in self.variances.items():
            array = update[key]
            after = before.astype(np.float64) + array
            if (after < -_ROUNDING * (np.abs(before) + np.abs(array))).any():
                return f"its update makes {key} negative, and a variance cannot be"
        return None

    def _implausible(self, change: Mapping[TensorGroup, float], steps: int) -> str | None:
        for group, size in change.items():
            if size > (limit := self.limit(group, steps)):
                return (
                    f"its update changes the {named(group)} by {size:.2g} (root mean square); at "
                    f"most {limit:.2g} is plausible in one round"
                )
        return None


def named(group: TensorGroup) -> str:
    """What a group is called in a sentence: the kind of its tensors, and their stage."""
    stage, kind = group
    words = {"means": "running means", "variances": "running variances", "vectors": "biases"}
    return f"{words.get(kind, kind)} of {'the head' if stage == 'head' else stage}"


class _GroupSizes:
    """Sums of squares by group, a tensor at a time."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._squares: dict[TensorGroup, float] = {}
        self._counts: dict[TensorGroup, int] = {}

    def add(self, key: str, array: NDArray[np.float32]) -> None:
        group = group_of(self._backbone, key, array.shape)
        self._squares[group] = self._squares.get(group, 0.0) + sum_of_squares(array)
        self._counts[group] = self._counts.get(group, 0) + array.size

    def rms(self) -> dict[TensorGroup, float]:
        counts = self._counts.items()
        return {group: math.sqrt(self._squares[group] / max(1, count)) for group, count in counts}
