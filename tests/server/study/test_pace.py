"""How long a study still takes."""

from __future__ import annotations

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
    now[0] = 310.0
    assert Pace(3, clock=lambda: now[0]).left(4, 10) == "; about 5 s left"
