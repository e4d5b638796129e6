"""How functions of two scores go together, from each score's counts and one sum of products.

The scores of a class are taken for normal ones in disguise (a Gaussian copula): each is a rising
function of a normal variable, and the correlation of two of these variables is the one that gives
the scores the sum of products that they have (Cario and Nelson's NORTA, 1997). Whatever is
computed of one score alone is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from shared.metrics.classes.counts import ClassCounts

Array = NDArray[np.float64]

_TERMS = 40
_HALVINGS = 25


@dataclass(frozen=True)
class Copula:
    """The patients of one class: the `shares` (S, bins) of them in each bin of each score.

    `integrals` (S, bins, terms) are those of the normalised Hermite polynomials 1 to _TERMS over
    each bin's part of the normal distribution; `correlations` (S, S) are of the normal variables.
    """

    shares: Array
    integrals: Array
    correlations: Array

    @classmethod
    def of(cls, counts: ClassCounts, label: int) -> Copula:
        """That of the patients of a class, of whom there must be one or more."""
        own = counts.scores[:, label].astype(np.float64)
        shares = own / own[0].sum()
        steps = np.arange(own.shape[1], dtype=np.float64)
        means = shares @ steps
        integrals = _hermite_integrals(shares)
        coefficients = np.einsum("sb,sbk->sk", steps - means[:, None], integrals)
        target = counts.products[label] / own[0].sum() - np.outer(means, means)
        return cls(shares, integrals, _correlations(coefficients, target))

    def covariances(self, values: Array) -> Array:
        """Covariances (S, S) of functions of the scores, (S, bins); the diagonal is exact."""
        centred = values - (self.shares * values).sum(axis=1, keepdims=True)
        coefficients = np.einsum("sb,sbk->sk", centred, self.integrals)
        variances = (self.shares * centred**2).sum(axis=1)
        # No two go further together than each does with itself.
        most = np.sqrt(np.outer(variances, variances))
        found = np.clip(_series(_pairs(coefficients), self.correlations), -most, most)
        np.fill_diagonal(found, variances)
        return np.asarray(found)


def copulas(counts: ClassCounts) -> tuple[Copula | None, ...]:
    """That of each class, None of one without patients."""
    return tuple(
        Copula.of(counts, label) if patients else None
        for label, patients in enumerate(counts.support)
    )


def _hermite_integrals(shares: Array) -> Array:
    upto = np.clip(np.cumsum(shares, axis=1), 0.0, 1.0)
    edges = ndtri(np.concatenate([np.zeros((len(shares), 1)), upto], axis=1))
    finite = np.isfinite(edges)
    z = np.where(finite, edges, 0.0)
    density = np.where(finite, np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi), 0.0)
    before, own = np.zeros_like(z), np.ones_like(z)
    integrals = np.empty((*shares.shape, _TERMS))
    for k in range(1, _TERMS + 1):
        primitive = own * density / np.sqrt(k)
        integrals[:, :, k - 1] = primitive[:, :-1] - primitive[:, 1:]
        before, own = own, (z * own - np.sqrt(k - 1) * before) / np.sqrt(k)
    return integrals


def _correlations(coefficients: Array, target: Array) -> Array:
    """The correlations of the normal variables that give the scores these covariances (S, S)."""
    pairs = _pairs(coefficients)
    low, high = -np.ones_like(target), np.ones_like(target)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = _series(pairs, middle) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2)


def _pairs(coefficients: Array) -> Array:
    """Products of two functions' Hermite coefficients, (terms, S, S)."""
    return np.asarray(np.einsum("sk,tk->kst", coefficients, coefficients))


def _series(pairs: Array, correlations: Array) -> Array:
    """Covariances (S, S) of functions of normal variables, by Mehler's formula."""
    total = np.zeros_like(correlations)
    for own in pairs[::-1]:
        total += own
        total *= correlations
    return total
