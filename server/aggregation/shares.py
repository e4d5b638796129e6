"""How much each site counts in the average: by its images, none for more than its share."""

from __future__ import annotations

from collections.abc import Mapping

MOST_IMAGES = 2**29 - 1
"""Of one contribution, so that its products with float32 values are exact."""

_FINE = 1000
"""Weights are integers: where the cap applies, all are made this much finer first."""


def capped(images: Mapping[str, int], most: float) -> dict[str, int]:
    """Weights of the sites, none of which is more than the share `most` of their sum.

    The images themselves where no site exceeds it. Where one does, it counts as much as makes its
    share `most`, and the others count as before in relation to each other. Where `most` is less
    than an equal share (0.3 of two sites), all count the same.
    """
    total = sum(images.values())
    if not images or all(own <= most * total for own in images.values()):
        return dict(images)
    if most * len(images) <= 1:
        return dict.fromkeys(images, 1)
    cut = {max(sorted(images), key=lambda site: images[site])}
    while True:
        rest = sum(own for site, own in images.items() if site not in cut)
        # A site at the cap has most * (rest + all capped weights), and so has each of them.
        cap = most * rest / (1 - most * len(cut))
        above = {site for site, own in images.items() if site not in cut and own > cap}
        if not above:
            break
        cut |= above
    fine = max(1, min(_FINE, MOST_IMAGES // int(rest + len(cut) * cap + 1)))
    return {site: max(1, int(fine * min(own, cap))) for site, own in images.items()}
