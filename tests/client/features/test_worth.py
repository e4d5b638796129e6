from __future__ import annotations

from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.features.worth import Cost, worth_keeping
from shared.model.registry import backbone_of

STAGES = backbone_of("micro").stages

FROZEN = STAGES[1:]
seconds = st.floats(0.0, 10.0)
costs_of = st.dictionaries(
    st.sampled_from(FROZEN),
    st.builds(Cost, seconds, seconds, seconds, st.integers(1, 1000)),
    max_size=5,
)
passes_of = st.dictionaries(st.sampled_from(FROZEN), st.integers(0, 30), max_size=5)


def slowly(
    costs: dict[str, Cost], passes: dict[str, int], kept: tuple[str, ...], views: int
) -> float:
    """Every view is computed once up to the dearest boundary, every pass is gone through."""
    total = 0.0
    for _ in range(views):
        total += max([costs[stage].compute for stage in kept] or [0.0])
        for stage in kept:
            total += costs[stage].write
    for stage, cost in costs.items():
        for _ in range(passes.get(stage, 0)):
            total += cost.read if stage in kept else cost.compute
    return total


@given(costs_of, passes_of, st.integers(1, 8), st.integers(0, 20_000))
def test_no_other_choice_that_fits_is_faster(
    costs: dict[str, Cost], passes: dict[str, int], views: int, room: int
) -> None:
    chosen = worth_keeping(costs, passes, views=views, room=room)
    assert sum(costs[stage].bytes for stage in chosen) * views <= room
    assert all(passes.get(stage, 0) > 0 for stage in chosen)
    assert list(chosen) == [stage for stage in passes if stage in chosen]
    every = chain.from_iterable(combinations(costs, size) for size in range(len(costs) + 1))
    least = min(
        slowly(costs, passes, kept, views)
        for kept in every
        if sum(costs[stage].bytes for stage in kept) * views <= room
    )
    assert slowly(costs, passes, chosen, views) == pytest.approx(least)


@given(costs_of, st.integers(1, 8))
def test_nothing_is_kept_where_nothing_is_gained(costs: dict[str, Cost], views: int) -> None:
    passes = dict.fromkeys(costs, views)
    dear = {s: Cost(c.compute, c.write, c.read + c.compute, c.bytes) for s, c in costs.items()}
    assert worth_keeping(dear, passes, views=views, room=10**9) == ()
    assert worth_keeping(costs, {}, views=views, room=10**9) == ()


@given(
    st.builds(Cost, seconds, seconds, seconds, st.integers(1, 1000)),
    st.integers(1, 8), st.integers(1, 30), st.integers(1, 30),
)  # fmt: skip
def test_a_boundary_that_is_kept_is_kept_for_more_passes_too(
    cost: Cost, views: int, few: int, more: int
) -> None:
    chosen = worth_keeping({"head": cost}, {"head": few}, views=views, room=10**9)
    later = worth_keeping({"head": cost}, {"head": few + more}, views=views, room=10**9)
    assert set(chosen) <= set(later)
