"""Estimated bytes, beside those of what the rules choose."""

from __future__ import annotations

from statistics import fmean

import pytest

from server.federation.global_model import build_reference
from server.schedule.select import Choice, select_units
from server.training.estimate import expected_bytes
from shared.model.manifest import sizes_of_units
from shared.model.pretrained import load_base
from shared.settings.config import RunConfig
from shared.settings.dynamics import Budget, candidates


@pytest.mark.parametrize(
    ("backbone", "freeze_rate", "budget", "within"),
    [
        # Without a budget each unit trains in as many rounds; one of 61 has two fifths of it all.
        ("densenet121", 0.5, 1.0, 0.05),
        # Of so many small tensors some hundred bytes beside each count.
        ("densenet121", 0.9, 1.0, 0.08),
        ("densenet121", 0.5, 0.3, 0.15),
        ("resnet18", 0.9, 1.0, 0.05),
        ("resnet18", 0.5, 0.3, 0.15),
    ],
)
def test_units_that_are_chosen_as_the_run_goes(
    backbone: str, freeze_rate: float, budget: float, within: float
) -> None:
    """Against the random rule's mean over a thousand rounds, of four bytes a value."""
    config = RunConfig(
        schedule="dynamics", backbone=backbone, weights="random", freeze_rate=freeze_rate,
        round_budget=budget, probe_rounds=0, rounds=10, update_dtype="float32", end="last",
    )  # fmt: skip
    reference = build_reference(config, load_base(config))
    units, sizes = candidates(config), sizes_of_units(reference.network, config.batch_norm)
    limit = Budget.of(config, sizes)
    values = fmean(
        limit.head
        + sum(sizes[u] for u in select_units("random", Choice(n, units, sizes, limit, 3), {}))
        for n in range(1, 1001)
    )
    # Ten rounds there and back and the final model; of the first request only the head is another.
    whole = 4 * (20 * values + limit.head)
    assert expected_bytes(config, reference, sites=1) == pytest.approx(whole, rel=within)
    assert expected_bytes(config, reference, sites=3) == pytest.approx(3 * whole, rel=within)
