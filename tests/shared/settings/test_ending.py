from __future__ import annotations

import pytest

from shared.settings.config import RunConfig
from shared.settings.ending import averaged_rounds, stays_near_probe


@pytest.mark.parametrize(
    ("changes", "first", "last", "probe"),
    [
        ({"end": "guarded"}, 26, 30, True),
        ({"end": "average", "average_share": 0.5}, 21, 30, False),
        ({"end": "guarded", "average_share": 0.0}, 30, 30, True),
        ({"end": "guarded", "average_share": 1.0}, 11, 30, True),
        ({"end": "guarded", "schedule": "full", "rounds": 3}, 13, 13, True),
        # 0.29 x 100 is 28.999999999999996 in binary floats
        ({"end": "average", "average_share": 0.29, "rounds": 100}, 82, 110, False),
        # nothing lies between the probe and the end
        ({"end": "guarded", "schedule": "probe"}, 26, 30, False),
        ({"end": "guarded", "rounds": 0}, 10, 10, False),
        # there is one fit, of which there is no mean
        ({"end": "guarded", "schedule": "logistic"}, 1, 1, False),
        # there is no probe to stay near
        ({"end": "guarded", "probe_rounds": 0}, 16, 20, False),
        # the sites' own statistics are those of the last round
        ({"end": "guarded", "batch_norm": "local"}, 30, 30, False),
        ({"end": "last"}, 30, 30, False),
    ],
)
def test_what_a_run_ends_with(
    changes: dict[str, object], first: int, last: int, probe: bool
) -> None:
    config = RunConfig(**changes)  # type: ignore[arg-type]
    rounds = averaged_rounds(config)
    assert (rounds[0], rounds[-1], stays_near_probe(config)) == (first, last, probe)


@pytest.mark.parametrize(
    ("share", "last", "first"),
    [
        (0.25, 19, 17),  # 9 rounds of fine-tuning
        (0.25, 28, 26),  # 18: no more than the 3 since the cut
        (1.0, 22, 20),
        (0.0, 22, 22),
        (0.25, 30, 26),
        (0.25, 10, 10),  # asked in the probe, at whose end no run ends
    ],
)
def test_a_run_that_ends_early_averages_rounds_since_the_cut(
    share: float, last: int, first: int
) -> None:
    config = RunConfig(schedule="adaptive", end="guarded", average_share=share, patience=3)
    assert averaged_rounds(config, last) == range(first, last + 1)
    assert stays_near_probe(config)
