"""How long a study still takes."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from server.study.pace import Pace


def test_runs_of_before_say_nothing_of_the_time() -> None:
    now = [100.0]
    pace = Pace(3, clock=lambda: now[0])
    assert pace.left(3, 10) == ""
    now[0] += 300.0
    assert pace.left(4, 10) == "; about 30 min left"
    now[0] += 900.0
    assert pace.left(5, 10) == "; about 50 min left"
    now[0] += 9000.0
    assert pace.left(6, 10) == "; about 3 h 47 min left"
    assert pace.left(10, 10) == ""


@given(st.integers(0, 50), st.integers(1, 50), st.integers(1, 50), st.floats(0, 1e6))
def test_equal_runs_take_equally_long(before: int, done: int, rest: int, each: float) -> None:
    now = [0.0]
    pace = Pace(before, clock=lambda: now[0])
    now[0] = done * each
    said = pace.left(before + done, before + done + rest)
    found = re.fullmatch(r"; about (?:(\d+) h )?(\d+) min left", said)
    assert found is not None
    minutes = 60 * int(found[1] or 0) + int(found[2])
    assert abs(minutes - rest * each / 60) <= 1
