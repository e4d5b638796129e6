"""One round's contributions, taken in whatever order they arrive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from flwr.serverapp.strategy import FedAvg, Krum
from numpy.typing import NDArray

from server.aggregation.flower import (
    give_state,
    has_server_optimizer,
    nothing_to_combine,
    quiet_flower,
    run_strategy,
    take_state,
)
from server.aggregation.krum import choose_site, require_sites
from server.aggregation.mean import RunningMean
from server.aggregation.shares import MOST_IMAGES
from server.aggregation.spill import Spill
from shared.errors import ProtocolError
from shared.wire.arrays import Arrays


class Collector(ABC):
    """Takes contributions one by one and combines them once; a context, which leaves no files.

    The result depends on what was added, not on the order, to the last bit.
    """

    def __init__(
        self,
        strategy: FedAvg,
        round_number: int,
        current: Mapping[str, NDArray[np.float32]],
    ) -> None:
        self._strategy, self._round = strategy, round_number
        self._current = dict(current)
        self._sites: set[str] = set()

    def add(self, site: str, arrays: Mapping[str, NDArray[np.float32]], images: int) -> None:
        """Take one site's own values of the current tensors, and its number of training images.

        Nothing of `arrays` is kept in memory. Raises ProtocolError where they do not fit the
        current ones or the images are out of 1 ... 2**29 - 1, or the site was there before: then
        nothing was taken. RunError where the disk does not take them.
        """
        if site in self._sites:
            raise ProtocolError(f"{site} sent a second update in round {self._round}")
        if not 1 <= images <= MOST_IMAGES:
            raise ProtocolError(f"images must be 1 to {MOST_IMAGES}, not {images}")
        for key, now in self._current.items():
            if key not in arrays:
                raise ProtocolError(f"tensors are missing: {key}")
            if arrays[key].shape != now.shape or arrays[key].dtype != np.float32:
                raise ProtocolError(
                    f"{key} is {arrays[key].dtype} {arrays[key].shape}, not float32 {now.shape}"
                )
        self._take(site, arrays, images)
        self._sites.add(site)

    def result(self) -> Arrays:
        """The new arrays, keys as in `current`; to be asked for once.

        Raises RunError where the strategy cannot combine so few contributions; its state is then
        as before.
        """
        if isinstance(self._strategy, Krum):
            require_sites(self._strategy.num_malicious_nodes, len(self._sites))
        if not self._sites:
            raise nothing_to_combine(self._strategy)
        result = self._combine()
        return {key: result[key].astype(np.float32, copy=False) for key in self._current}

    @abstractmethod
    def close(self) -> None:
        """Let go of what was taken."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def _take(self, site: str, arrays: Mapping[str, NDArray[np.float32]], images: int) -> None: ...

    @abstractmethod
    def _combine(self) -> Arrays: ...


class AveragingCollector(Collector):
    """Collects for strategies that begin with the mean: they get it as if one site had sent it."""

    def __init__(
        self,
        strategy: FedAvg,
        round_number: int,
        current: Mapping[str, NDArray[np.float32]],
        averaged_only: Collection[str],
        state: Arrays,
    ) -> None:
        """`state` is read and extended; tensors of `averaged_only` take no server optimiser."""
        super().__init__(strategy, round_number, current)
        self._averaged_only = averaged_only if has_server_optimizer(strategy) else ()
        self._state = state
        self._mean: RunningMean | None = RunningMean({k: v.shape for k, v in current.items()})

    def _take(self, site: str, arrays: Mapping[str, NDArray[np.float32]], images: int) -> None:
        assert self._mean is not None, "closed"
        self._mean.add(arrays, images)

    def _combine(self) -> Arrays:
        mean, images = self._release()
        stepped = {k: v for k, v in self._current.items() if k not in self._averaged_only}
        one = [({key: mean[key] for key in stepped}, images)]
        give_state(self._strategy, stepped, self._state)
        result = run_strategy(self._strategy, self._round, one, len(self._sites))
        self._state |= take_state(self._strategy, list(stepped))
        return mean | result

    def _release(self) -> tuple[Arrays, int]:
        """The mean; the sums' memory is free before Flower makes its copies."""
        assert self._mean is not None, "closed"
        mean, images = self._mean.result(), self._mean.images
        self._mean = None
        return mean, images

    def close(self) -> None:
        """Let go of the sums."""
        self._mean = None


class SpillingCollector(Collector):
    """Collects for strategies that need every site's values: the median, the trimmed mean, Krum."""

    def __init__(
        self,
        strategy: FedAvg,
        round_number: int,
        current: Mapping[str, NDArray[np.float32]],
        unjudged: Collection[str],
        folder: Path | None,
    ) -> None:
        """Krum does not judge by the tensors of `unjudged`, but takes its choice's along."""
        super().__init__(strategy, round_number, current)
        judged = sorted(key for key in current if key not in unjudged)
        self._judged = len(judged)
        order = [*judged, *sorted(key for key in current if key in unjudged)]
        self._spill = Spill(folder, {key: current[key].shape for key in order})

    def _take(self, site: str, arrays: Mapping[str, NDArray[np.float32]], images: int) -> None:
        self._spill.add(site, arrays, images)

    def _combine(self) -> Arrays:
        if isinstance(self._strategy, Krum):
            size = self._spill.size(self._judged)
            return self._spill.load(
                choose_site(self._spill, size, self._strategy.num_malicious_nodes)
            )
        return self._spill.split(np.concatenate(self._by_element()))

    def _by_element(self) -> list[NDArray[np.float32]]:
        """Flower's strategy on blocks: median and trimmed mean know no tensors, only elements."""
        images = self._spill.images
        parts = []
        with quiet_flower():
            for block in self._spill.blocks(self._spill.size()):
                rows = [({"values": row}, one) for row, one in zip(block, images, strict=True)]
                result = run_strategy(self._strategy, self._round, rows, len(rows))
                parts.append(result["values"].astype(np.float32, copy=False))
        return parts

    def close(self) -> None:
        """Remove the files."""
        self._spill.close()
