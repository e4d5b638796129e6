"""What the batches of successive rounds take, where a round is a number of steps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.data.dataset import Draw, Sample, passes_of_round, steps_of_round
from client.train.batches import drawn_batches
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round

MakeConfig = Callable[..., RunConfig]
MakeSamples = Callable[[int], list[Sample]]


def rounds_of(samples: Sequence[Sample], config: RunConfig, rounds: int) -> list[list[list[Draw]]]:
    plans = [plan_round(config, number) for number in range(1, rounds + 1)]
    return [drawn_batches(samples, plan, config, "north") for plan in plans]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    images=st.integers(1, 30), steps=st.integers(1, 9), size=st.integers(2, 12), seed=st.integers(0)
)
def test_rounds_of_steps_run_on_through_whole_passes(
    make_samples: MakeSamples, micro_config: MakeConfig,
    images: int, steps: int, size: int, seed: int,
) -> None:  # fmt: skip
    samples = make_samples(images)
    config = micro_config(
        local_steps=steps, batch_size=size, sampling="shuffle", probe_rounds=3, rounds=4,
        seed=seed % 2**31,
    )  # fmt: skip
    rounds = rounds_of(samples, config, 7)
    assert [len(batches) for batches in rounds] == [steps] * 7
    assert steps_of_round(images, config) == steps
    drawn = [draw for batches in rounds for batch in batches for draw in batch]
    for first in range(0, len(drawn) - images + 1, images):
        assert {draw.sample for draw in drawn[first : first + images]} == set(range(images))
    most = max(Counter(draw.sample for draw in drawn).values())
    assert most == math.ceil(len(drawn) / images)
    assert len({draw.seed for draw in drawn}) == len(drawn)


def test_a_round_takes_the_same_whatever_was_taken_before_it(
    make_samples: MakeSamples, micro_config: MakeConfig
) -> None:
    """A resumed run, and a site that joins late."""
    samples, config = make_samples(11), micro_config(local_steps=3, batch_size=2, rounds=6)
    plan = plan_round(config, 5)
    assert drawn_batches(samples, plan, config, "north") == rounds_of(samples, config, 5)[4]


@pytest.mark.parametrize(
    ("changes", "steps", "passes"),
    [({}, 3, 1.0), ({"local_epochs": 4}, 12, 4.0), ({"local_steps": 2}, 2, 2 / 3)],
)
def test_the_amount_of_a_round(
    micro_config: MakeConfig, changes: dict[str, Any], steps: int, passes: float
) -> None:
    config = micro_config(batch_size=8, **changes)
    assert steps_of_round(24, config) == steps
    assert passes_of_round(24, config) == pytest.approx(passes)
