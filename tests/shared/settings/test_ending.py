from __future__ import annotations

import pytest

from shared.settings.config import RunConfig
from shared.settings.ending import averaged_rounds, probe_round


@pytest.mark.parametrize(
    ("changes", "first", "last", "probe"),
    [
        ({"end": "guarded"}, 26, 30, 10),
        ({"end": "average", "average_share": 0.5}, 21, 30, None),
        ({"end": "guarded", "average_share": 0.0}, 30, 30, 10),
        ({"end": "guarded", "average_share": 1.0}, 11, 30, 10),
        ({"end": "guarded", "schedule": "full", "rounds": 3}, 13, 13, 10),
        # 0.29 x 100 is 28.999999999999996 in binary floats
        ({"end": "average", "average_share": 0.29, "rounds": 100}, 82, 110, None),
        # nothing lies between the probe and the end
        ({"end": "guarded", "schedule": "probe"}, 26, 30, None),
        ({"end": "guarded", "rounds": 0}, 10, 10, None),
        # there is no probe to stay near
        ({"end": "guarded", "probe_rounds": 0}, 16, 20, None),
        # the sites' own statistics are those of the last round
        ({"end": "guarded", "batch_norm": "local"}, 30, 30, None),
        ({"end": "last"}, 30, 30, None),
    ],
)
def test_what_a_run_ends_with(
    changes: dict[str, object], first: int, last: int, probe: int | None
) -> None:
    config = RunConfig(**changes)  # type: ignore[arg-type]
    rounds = averaged_rounds(config)
    assert (rounds[0], rounds[-1], probe_round(config)) == (first, last, probe)
