"""The baseline: a logistic regression on the features of the pretrained network."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from client.features.feature_set import FeatureSet
from client.features.views import Wanted
from client.train.trainer import Trained
from shared.errors import FedThawError
from shared.model.network import Network
from shared.settings.config import RunConfig
from shared.settings.logistic import MOST_ITERATIONS

_TOLERANCE = 1e-8
"""Largest slope of the mean loss at which a fit has arrived."""


@dataclass(frozen=True)
class Fit:
    """A head: weights (features,), bias, mean training loss and L-BFGS's iterations."""

    weights: NDArray[np.float64]
    bias: float
    loss: float
    iterations: int


def fit_head(model: Network, features: FeatureSet, config: RunConfig) -> Trained:
    """Put the logistic regression on these images' features into the head of `model`.

    Nothing is drawn at random.
    """
    samples, size = features.samples, config.batch_size
    wanted = [Wanted(number, 0) for number in range(len(samples))]
    batches = [wanted[start : start + size] for start in range(0, len(wanted), size)]
    rows = torch.cat([batch.flatten(1).cpu() for batch in features.batches(batches)])
    labels = np.array([sample.radiograph.label for sample in samples])
    found = fit(rows.double().numpy(), labels, config)
    weight, bias = (model.get_parameter(key) for key in model.backbone.head_keys)
    with torch.no_grad():
        weight.copy_(torch.from_numpy(found.weights).unsqueeze(0))
        bias.fill_(found.bias)
    return Trained(found.iterations, found.loss, moments={})


def fit(features: NDArray[np.float64], labels: NDArray[np.int64], config: RunConfig) -> Fit:
    """The L2-penalised logistic regression of labels (N,), 0 or 1, on features (N, C).

    With balanced sampling both classes weigh the same. The bias is penalised as the weights are,
    which bounds it (`shared/settings/logistic.py`). FedThawError where it does not converge.
    """
    # Here: the other schedules do without, and it takes a second to load.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.utils.class_weight import compute_sample_weight
    from threadpoolctl import threadpool_limits

    balance = "balanced" if config.sampling == "balanced" else None
    design = np.column_stack([features, np.ones(len(features))])
    model = LogisticRegression(
        C=config.logistic_c, class_weight=balance, fit_intercept=False,
        tol=_TOLERANCE, max_iter=MOST_ITERATIONS,
    )  # fmt: skip
    # One thread: the sums of several have other last bits, and sites may run side by side.
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            model.fit(design, labels)
        except ConvergenceWarning as error:
            raise FedThawError(
                f"The logistic regression has not converged in {MOST_ITERATIONS} iterations; lower "
                f"logistic-c, which is {config.logistic_c:g}.",
                shareable="its logistic regression has not converged; lower logistic-c",
            ) from error
        probabilities = model.predict_proba(design)
    weight_of = compute_sample_weight(balance, labels)
    return Fit(
        weights=model.coef_[0, :-1],
        bias=float(model.coef_[0, -1]),
        loss=float(log_loss(labels, probabilities, sample_weight=weight_of)),
        iterations=int(model.n_iter_[0]),
    )
