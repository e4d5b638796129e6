"""The baseline's fit, against Newton's method and what theory says of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from client.train.logistic import fit
from shared.errors import ConfigError
from shared.settings.config import RunConfig
from shared.settings.logistic import longest_head

Rows = NDArray[np.float64]
Labels = NDArray[np.int64]
MakeConfig = Callable[..., RunConfig]


def cohort(seed: int, patients: int, width: int = 6, bias: float = -1.0) -> tuple[Rows, Labels]:
    """Features and outcomes of which the finding is rarer than not."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(0.5, 1.0, (patients, width))
    chance = expit(rows @ np.linspace(-1, 1, width) + bias)
    labels = (rng.random(patients) < chance).astype(np.int64)
    labels[:2] = 0, 1
    return rows, labels


def weights_of(labels: Labels, sampling: str) -> Rows:
    """Each image's weight, by counting."""
    if sampling == "shuffle":
        return np.ones(len(labels))
    share = {label: np.mean(labels == label) for label in (0, 1)}
    return np.array([0.5 / share[label] for label in labels])


def newton(rows: Rows, labels: Labels, weights: Rows, c: float) -> Rows:
    """The head (features + bias) of least penalised loss; steps are halved until it falls."""
    design = np.column_stack([rows, np.ones(len(rows))])
    signs = 2.0 * labels - 1

    def objective(head: Rows) -> float:
        losses = np.logaddexp(0, -signs * (design @ head))
        return float(head @ head / 2 + c * weights @ losses)

    head = np.zeros(design.shape[1])
    for _ in range(100):
        chance = expit(design @ head)
        slope = head + c * design.T @ (weights * (chance - labels))
        curvature = np.eye(len(head)) + c * (design.T * (weights * chance * (1 - chance))) @ design
        step = np.linalg.solve(curvature, slope)
        length = 1.0
        while objective(head - length * step) > objective(head) and length > 1e-9:
            length /= 2
        head = head - length * step
    return head


@pytest.mark.parametrize("sampling", ["balanced", "shuffle"])
@pytest.mark.parametrize("c", [0.01, 1.0, 100.0])
@pytest.mark.parametrize(("patients", "width"), [(60, 6), (20, 100)])
def test_a_fit_is_the_likeliest(
    micro_config: MakeConfig, sampling: str, c: float, patients: int, width: int
) -> None:
    rows, labels = cohort(1, patients, width)
    found = fit(rows, labels, micro_config(sampling=sampling, logistic_c=c))
    weights = weights_of(labels, sampling)
    head = newton(rows, labels, weights, c)
    assert np.append(found.weights, found.bias) == pytest.approx(head, rel=1e-3, abs=1e-4)
    logits = rows @ head[:-1] + head[-1]
    losses = np.logaddexp(0, -(2 * labels - 1) * logits)
    assert found.loss == pytest.approx(np.average(losses, weights=weights), rel=1e-3)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(3, 40), st.sampled_from([1e-4, 1.0, 1e3]),
    st.floats(0.01, 100),
)  # fmt: skip
def test_what_leaves_is_bounded_and_a_sum_of_features(
    micro_config: MakeConfig, seed: int, patients: int, c: float, scale: float
) -> None:
    """As the coordinator's screen and docs/privacy.md say."""
    rows, labels = cohort(seed, patients)
    rows *= scale
    found = fit(rows, labels, micro_config(logistic_c=c))
    head = np.append(found.weights, found.bias)
    assert np.linalg.norm(head) <= longest_head(c, patients) * (1 + 1e-6)
    missed = weights_of(labels, "balanced") * (labels - expit(rows @ head[:-1] + head[-1]))
    summed = c * sum(m * np.append(row, 1.0) for m, row in zip(missed, rows, strict=True))
    # L-BFGS ends where the slope of the mean loss is small, or no longer falls.
    size = c * patients * max(1.0, scale)
    assert head == pytest.approx(summed, abs=1e-3 * size)


def test_the_sites_mean_comes_near_the_regression_in_one_place(micro_config: MakeConfig) -> None:
    """The more patients a site has; with few it is another, stricter one."""
    config = micro_config(sampling="shuffle", logistic_c=10.0)

    def distance(patients: int) -> float:
        sites = [cohort(seed, patients) for seed in range(4)]
        fits = [fit(*one, config) for one in sites]
        mean = np.mean([np.append(one.weights, one.bias) for one in fits], axis=0)
        rows = np.concatenate([one for one, _ in sites])
        pooled = LogisticRegression(C=10.0).fit(rows, np.concatenate([own for _, own in sites]))
        together = np.append(pooled.coef_[0], pooled.intercept_)
        return float(np.linalg.norm(mean - together) / np.linalg.norm(together))

    few, many = distance(40), distance(4000)
    assert many < 0.01 < few


def test_another_outcome_is_refused_in_a_sentence(micro_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match="outcome is 'ordinal: none"):
        micro_config(schedule="logistic", outcome="ordinal: none | mild")
