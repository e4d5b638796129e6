"""Images dealt to several sites, in equal or unequal shares of each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from client.importing.labelled_images import LabelledImages
from shared.errors import SiteError


def deal_images(
    images: LabelledImages, sites: int, unequal: float | None, seed: int
) -> tuple[LabelledImages, ...]:
    """All images, each at one site; the images of a class in shares of its own.

    The shares are drawn from a symmetric Dirichlet distribution (Hsu et al., arXiv:1909.06335) of
    concentration `unequal`: 0.5 is very unequal, 100 nearly equal; equal with None. In their
    former order at each site. SiteError where a site would get none.
    """
    generator = np.random.default_rng(seed)
    owner = np.empty(len(images.labels), dtype=np.int64)
    for label in np.unique(images.labels):
        places = np.flatnonzero(images.labels == label)
        shares = _shares(sites, unequal, generator)
        ends = np.rint(np.cumsum(shares)[:-1] * len(places)).astype(np.int64)
        for site, own in enumerate(np.split(generator.permutation(places), ends)):
            owner[own] = site
    dealt = tuple(
        LabelledImages(images.pixels[owner == site], images.labels[owner == site])
        for site in range(sites)
    )
    if not all(len(one.labels) for one in dealt):
        raise SiteError(
            f"With {len(owner):,} images and these settings one of {sites} sites would have none; "
            "name more images, fewer --sites, a larger --unequal, or another --seed."
        )
    return dealt


def _shares(
    sites: int, unequal: float | None, generator: np.random.Generator
) -> NDArray[np.float64]:
    if unequal is None:
        return np.full(sites, 1 / sites)
    return generator.dirichlet(np.full(sites, unequal))
