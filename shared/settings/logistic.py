"""What both sides know of a site's logistic regression (`schedule=logistic`) beforehand."""

from __future__ import annotations

import math

MOST_ITERATIONS = 10_000
"""Of L-BFGS."""


def longest_head(c: float, images: int) -> float:
    """The largest L2 norm that a head of so many images can have, its bias included.

    The fit minimises norm^2 / 2 + c * (loss of all images), which is c * images * ln 2 for a head
    of zeros; so half its square is no more.
    """
    return math.sqrt(2 * math.log(2) * c * images)
