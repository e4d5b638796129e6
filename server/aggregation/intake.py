"""A round's updates on their way into the average: screened, weighted, then combined.

Who stands out shows only when all updates are there, and a sum cannot be undone to the last bit.
So updates are added up as they arrive, which is all there is to do in an honest round, and a copy
of each is kept on disk. Where an update is refused or counts less, the sum begins again with the
copies of the others. Strategies that keep every update themselves are given the copies at the end.
One update at a time is in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from server.aggregation.agreement import Agreement
from server.aggregation.collector import Collector
from server.aggregation.screen import Screen, Sizes, TensorGroup, named
from server.aggregation.shares import capped
from server.aggregation.spill import Spill
from server.aggregation.strategy import Aggregator
from shared.wire.arrays import Arrays

FEWEST_TO_COMPARE = 3
"""With two sites, neither is a majority, so none is judged by the other."""


@dataclass(frozen=True)
class Average:
    """Which average a round's updates go into."""

    aggregator: Aggregator
    round: int
    current: Mapping[str, NDArray[np.float32]]
    """The tensors of the round before it, as weights minus base."""
    folder: Path | None
    """Where files go while it is made; None: where the system has its temporary ones."""

    def begin(self, folder: Path | None) -> Collector:
        """A collector of it, which keeps its files in `folder`."""
        return self.aggregator.begin(self.round, self.current, folder)


@dataclass(frozen=True)
class Rules:
    """What is done about outliers."""

    screen: str
    """refuse, clip or off."""
    largest_share: float

    @property
    def idle(self) -> bool:
        """Whether every update is used as it arrives."""
        return self.screen == "off" and self.largest_share >= 1


@dataclass
class Verdict:
    """What became of a round's updates."""

    refused: dict[str, str] = field(default_factory=dict)
    """Site -> why its update is not in the average."""
    clipped: dict[str, str] = field(default_factory=dict)
    """Site -> why its update counts for less than it sent."""
    weights: dict[str, int] = field(default_factory=dict)
    """Site -> its weight in the average."""
    capped: tuple[str, ...] = ()
    """Sites that had more images than their share."""
    ratios: dict[str, float] = field(default_factory=dict)
    """Site -> how many times the others' median its change is, in the group where it is largest."""


class Intake:
    """One round's updates; a context, which leaves no files."""

    def __init__(
        self,
        average: Average,
        screen: Screen,
        rules: Rules,
        agreement: Agreement | None = None,
    ) -> None:
        """`agreement` is shown all updates that are used, as they are used."""
        self._average, self._screen, self._rules = average, screen, rules
        self._agreement = agreement
        self._images: dict[str, int] = {}
        self._steps: dict[str, int] = {}
        self._sizes: dict[str, Sizes] = {}
        self._verdict = Verdict()
        self._scales: dict[str, dict[TensorGroup, float]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._copies: Spill | None = None
            if not self._rules.idle:
                shapes = {key: value.shape for key, value in self._average.current.items()}
                self._copies = Spill(self._average.folder, shapes)
                stack.callback(self._copies.close)
            self._collector: Collector | None = None
            if self._copies is None or self._average.aggregator.adds_up:
                self._collector = stack.enter_context(self._begin())
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(self, site: str, update: Arrays, images: int, steps: int) -> None:
        """Take one site's update: weights after training minus weights received, in `steps` steps.

        `update` is overwritten. Raises what a collector raises; then nothing was taken.
        """
        sizes = self._screen.measure(update, steps)
        usable = self._rules.screen == "off" or sizes.problem is None
        if not usable and (self._rules.screen == "refuse" or sizes.beyond_repair):
            self._verdict.refused[site] = str(sizes.problem)
            return
        if self._copies is not None:
            self._copies.add(site, update, images)
        if self._collector is not None and usable:
            self._collect(self._collector, site, update, images)
        self._images[site], self._steps[site], self._sizes[site] = images, steps, sizes

    def judge(self) -> Verdict:
        """What is used of what has arrived, and how much it counts; to be asked for once."""
        verdict = self._verdict
        plausible = {site: own for site, own in self._sizes.items() if own.problem is None}
        for site in sorted(self._sizes):
            others = {name: own for name, own in plausible.items() if name != site}
            if not others:
                continue
            compared = others | {site: self._sizes[site]}
            group, ratio = self._screen.stands_out(site, compared, self._steps)
            verdict.ratios[site] = ratio
            outlying = ratio > self._screen.factor and len(compared) >= FEWEST_TO_COMPARE
            if self._rules.screen != "off" and outlying:
                self._exclude(site, self._reason(group, ratio))
        if self._rules.screen == "clip":
            self._clip(plausible)
        used = {s: n for s, n in self._images.items() if s not in verdict.refused}
        verdict.weights = capped(used, self._rules.largest_share)
        total = sum(verdict.weights.values())
        verdict.capped = tuple(
            site for site in sorted(used)
            if verdict.weights[site] * sum(used.values()) < 0.999 * used[site] * total
        )  # fmt: skip
        return verdict

    def result(self) -> Arrays:
        """The new arrays of what `judge` left; raises what a collector's `result` raises."""
        as_arrived = self._verdict.weights == self._images and not self._scales
        if self._collector is not None and (self._copies is None or as_arrived):
            return self._collector.result()
        if self._collector is not None:
            self._collector.close()
        with self._begin() as collector:
            for site, weight in sorted(self._verdict.weights.items()):
                self._collect(collector, site, self._clipped(site), weight)
            return collector.result()

    def _clipped(self, site: str) -> Arrays:
        """A copy, scaled down where it stands out."""
        assert self._copies is not None
        update, scales = self._copies.take(site), self._scales.get(site, {})
        for key, array in update.items():
            if (group := self._screen.group_of(key, array.shape)) in scales:
                np.multiply(array, np.float32(scales[group]), out=array)
        return update

    def _begin(self) -> Collector:
        folder = self._average.folder if self._copies is None else self._copies.folder
        if self._agreement is not None:
            self._agreement.begin()
        return self._average.begin(folder)

    def _collect(self, collector: Collector, site: str, update: Arrays, weight: int) -> None:
        if self._agreement is not None:
            self._agreement.add(site, update, weight)
        for key, array in update.items():
            np.add(array, self._average.current[key], out=array)
        collector.add(site, update, weight)

    def _reason(self, group: TensorGroup, ratio: float) -> str:
        return (
            f"its update changes the {named(group)} {ratio * self._times(group):.2g} times as much "
            f"as the other sites' median; at most {self._screen.allowed(group):g} times is allowed "
            "(update-screen-factor)"
        )

    def _times(self, group: TensorGroup) -> float:
        return self._screen.allowed(group) / self._screen.factor

    def _exclude(self, site: str, reason: str) -> None:
        kept = self._verdict.clipped if self._rules.screen == "clip" else self._verdict.refused
        kept[site] = reason

    def _clip(self, plausible: Mapping[str, Sizes]) -> None:
        """Scale down each group of each site to what would just be let pass."""
        for site, own in self._sizes.items():
            others = {name: one for name, one in plausible.items() if name != site}
            compared = others | {site: own}
            scales: dict[TensorGroup, float] = {}
            for group, change in own.change.items():
                most = self._screen.limit(group, self._steps[site])
                if len(compared) >= FEWEST_TO_COMPARE:
                    usual = self._screen.usual(group, site, compared, self._steps)
                    most = min(most, usual * self._screen.allowed(group))
                if change > most:
                    scales[group] = most / change
            if scales:
                self._scales[site] = scales
                self._verdict.clipped.setdefault(site, own.problem or "its update stands out")
