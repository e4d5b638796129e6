"""Models on the straight line between two, and means of models, all as deltas to one base."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Delta = Mapping[str, NDArray[np.float32]]
"""Weights and BatchNorm statistics minus the base; a tensor that is not there equals the base's."""


def between(start: Delta, end: Delta, share: float) -> dict[str, NDArray[np.float32]]:
    """The model at this share, 0 to 1, of the way from `start` to `end`; both ends exactly.

    Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022 (WiSE-FT). Computed tensor by
    tensor in float32, the same bytes at the coordinator and at every site.
    """
    return {
        name: _between(start.get(name), end.get(name), np.float32(share))
        for name in dict.fromkeys((*start, *end))
    }


def mean_with(mean: Delta, counted: int, new: Delta) -> dict[str, NDArray[np.float32]]:
    """The mean of `counted` models, 0 or more, and a further one.

    Izmailov et al., Averaging weights leads to wider optima, UAI 2018 (SWA). BatchNorm's running
    means and variances are averaged as the weights are.
    """
    return between(mean, new, 1 / (counted + 1))


def _between(
    start: NDArray[np.float32] | None, end: NDArray[np.float32] | None, share: np.float32
) -> NDArray[np.float32]:
    if start is None:
        assert end is not None
        start = np.zeros_like(end)
    if end is None:
        end = np.zeros_like(start)
    if share == 1:
        return end.copy()
    return start + share * (end - start)
