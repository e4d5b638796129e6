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
    """The `shares` (S, bins) of the patients in each bin of each score.

    `integrals` (S, bins, terms) are those of the normalised Hermite polynomials 1 to _TERMS over
    each bin's part of the normal distribution; `correlations` (S, S) are of the normal variables.
    """

    shares: Array
    integrals: Array
    correlations: Array

    @classmethod
    def of(cls, shares: Array, target: Array) -> Copula:
        """The copula of scores with these covariances of their bins (S, S)."""
        steps = np.arange(shares.shape[1], dtype=np.float64)
        integrals = _hermite_integrals(shares)
        return cls(shares, integrals, _correlations(_coefficients(steps, integrals), target))

    @classmethod
    def of_class(cls, counts: ClassCounts, label: int) -> Copula:
        """The copula of the scores of a class's patients, of whom there must be one or more."""
        own = counts.scores[:, label].astype(np.float64)
        shares = own / own[0].sum()
        means = shares @ np.arange(own.shape[1])
        return cls.of(shares, counts.products[label] / own[0].sum() - np.outer(means, means))

    def covariances(self, values: Array) -> Array:
        """Covariances (S, S) of functions of the scores, (S, bins); the diagonal is exact."""
        centred = values - (self.shares * values).sum(axis=1, keepdims=True)
        variances = (self.shares * centred**2).sum(axis=1)
        # No two go further together than each does with itself.
        most = np.sqrt(np.outer(variances, variances))
        coefficients = _coefficients(centred, self.integrals)
        found = np.clip(_series(_pairs(coefficients), self.correlations), -most, most)
        np.fill_diagonal(found, variances)
        return np.asarray(found)

    def slopes(self, values: Array) -> Array:
        """How fast functions of the scores rise with the scores' bins, by the normal variables.

        Shape (S,); zero of a score that is the same for all.
        """
        steps = np.arange(values.shape[1], dtype=np.float64)
        of_values, of_bins = (_coefficients(one, self.integrals)[:, 0] for one in (values, steps))
        return np.divide(of_values, of_bins, out=np.zeros_like(of_bins), where=of_bins != 0)


def copulas(counts: ClassCounts) -> tuple[Copula | None, ...]:
    """The copula of each class, None for one without patients."""
    return tuple(
        Copula.of_class(counts, label) if patients else None
        for label, patients in enumerate(counts.support)
    )


def _coefficients(values: Array, integrals: Array) -> Array:
    """Hermite coefficients (S, terms) of functions of the scores, (S, bins) or the same (bins,)."""
    return np.asarray((values[..., None] * integrals).sum(axis=1))


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
