"""The log-loss of counted scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from shared.metrics.histogram import Histogram, bin_logits
from shared.metrics.scores import require_scores


@dataclass(frozen=True)
class LogLoss:
    """Mean negative log-likelihood of the outcome in nats, 0 or more, and its standard error."""

    mean: float
    error: float
    """Of the mean over these patients; 0 of one patient."""


def log_loss(counts: Histogram) -> LogLoss | None:
    """Log-loss of the patients, each with the middle logit of the bin; None without patients.

    A logit beyond +-8 counts as +-(8 + 1/64), so one patient adds at most 8.02. Raises ValueError
    for a histogram of ordinal grades.
    """
    require_scores(counts)
    patients = counts.patients
    if not patients:
        return None
    logits = bin_logits()
    losses = np.concatenate([np.logaddexp(0.0, -logits), np.logaddexp(0.0, logits)])
    weights = np.concatenate([counts.positives, counts.negatives])
    # Not np.dot: BLAS may add up in another order on another machine, and a choice hangs on it.
    mean = math.fsum(weights * losses) / patients
    squares = math.fsum(weights * (losses - mean) ** 2)
    error = math.sqrt(squares / (patients - 1) / patients) if patients > 1 else 0.0
    return LogLoss(mean, error)
