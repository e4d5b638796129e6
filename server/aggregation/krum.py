"""Krum's choice over contributions on disk (Blanchard et al., arXiv:1703.02757).

As Flower's Krum chooses, which needs all contributions in memory, several times over: squared
distances from norms and dot products, for each site the sum over its nearest n - f - 2 others, and
the site with the smallest sum. The sums here are float64, gathered block by block, so that sites
whose scores are equal in Flower's float32 are still ranked; exact ties go to the first name.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from server.aggregation.spill import Spill
from shared.errors import RunError


def require_sites(malicious: int, sites: int) -> None:
    """RunError unless so many sites can withstand so many malicious ones, f among 2 f + 3."""
    needed = 2 * malicious + 3
    if malicious > 0 and sites < needed:
        raise RunError(
            f"Krum needs {needed} sites to withstand malicious-sites={malicious}, but {sites} sent "
            f"an update; raise min-sites to {needed}, or lower malicious-sites."
        )


def choose_site(spill: Spill, size: int, malicious: int) -> int:
    """The position, in the order of names, of Krum's choice by the first `size` elements."""
    distances = squared_distances(spill, size)
    nearest = max(1, len(distances) - malicious - 2)
    # The nearest of all is the site itself.
    scores = np.sort(distances, axis=1)[:, 1 : nearest + 1].sum(axis=1)
    return int(np.argmin(scores))


def squared_distances(spill: Spill, size: int) -> NDArray[np.float64]:
    """Squared Euclidean distances between all pairs of sites, shape (sites, sites)."""
    count = len(spill.images)
    products = np.zeros((count, count))
    for block in spill.blocks(size):
        values = block.astype(np.float64)
        products += values @ values.T
    norms = np.diagonal(products)
    distances = np.maximum(norms[:, None] + norms[None, :] - 2 * products, 0.0)
    # A product of two is computed once for both, so that equal distances are equal in every bit.
    return np.asarray((distances + distances.T) / 2)
