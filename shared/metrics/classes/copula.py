"""How functions of two scores go together, from each score's counts and one sum of products.

The scores of a class are taken for normal ones in disguise (a Gaussian copula): each is a rising
function of a normal variable, and the correlation of the two variables is the one that gives the
scores the sum of products that they have (Cario and Nelson, NORTA, 1997). Whatever is computed of
one score alone is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]

_TERMS = 40
_HALVINGS = 40


def covariances(counts: Array, values: Array, products: Array) -> Array:
    """Covariances (S, S) of functions of the scores among the patients of one class.

    `counts` (S, bins): the patients in each bin of each score; `values` (S, bins): the function
    of each score; `products` (S, S): mean products of two scores' bins. The diagonal is exact.
    """
    shares = counts / counts.sum(axis=1, keepdims=True)
    steps = np.arange(counts.shape[1], dtype=np.float64)
    places = steps - (shares @ steps)[:, None]
    values = values - (shares * values).sum(axis=1, keepdims=True)
    means = shares @ steps
    kernel = _hermite_integrals(shares)
    of_places, of_values = (np.einsum("sb,sbk->sk", own, kernel) for own in (places, values))
    target = products - np.outer(means, means)
    found = _series(of_values, _correlations(of_places, target))
    variances = (shares * values**2).sum(axis=1)
    # No pair can go further together than the two do with themselves.
    most = np.sqrt(np.outer(variances, variances))
    found = np.clip(found, -most, most)
    np.fill_diagonal(found, variances)
    return np.asarray(found)


def _hermite_integrals(shares: Array) -> Array:
    """Integrals of the normalised Hermite polynomials 1 to _TERMS over each bin (S, bins, terms).

    A bin covers as much of the normal distribution as its share of the patients.
    """
    upto = np.clip(np.cumsum(shares, axis=1), 0.0, 1.0)
    edges = ndtri(np.concatenate([np.zeros((len(shares), 1)), upto], axis=1))
    finite = np.isfinite(edges)
    z = np.where(finite, edges, 0.0)
    density = np.where(finite, np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi), 0.0)
    before, own = np.zeros_like(z), np.ones_like(z)
    integrals = []
    for k in range(1, _TERMS + 1):
        primitive = own * density / np.sqrt(k)
        integrals.append(primitive[:, :-1] - primitive[:, 1:])
        before, own = own, (z * own - np.sqrt(k - 1) * before) / np.sqrt(k)
    return np.stack(integrals, axis=-1)


def _correlations(of_places: Array, target: Array) -> Array:
    """The correlations (S, S) of the normal variables that give the scores these covariances."""
    low, high = -np.ones_like(target), np.ones_like(target)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = _series(of_places, middle) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2)


def _series(coefficients: Array, correlations: Array) -> Array:
    """Covariances (S, S) of functions with these Hermite coefficients (S, terms): Mehler."""
    total, power = np.zeros_like(correlations), np.ones_like(correlations)
    for own in coefficients.T:
        power = power * correlations
        total += np.outer(own, own) * power
    return total
