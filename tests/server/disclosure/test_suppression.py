"""Hidden counts, attacked by enumerating every table that fits what is shown."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.disclosure.groups import Counts
from server.disclosure.suppression import Suppression, below_limit, suppress

Table = dict[str, Counts]
View = tuple[Suppression, tuple[tuple[str, Counts], ...], int | None, int | None]
tables = st.dictionaries(
    st.sampled_from("abcd"), st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=4
)


def compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to share a total out among sites."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in compositions(total - first, parts - 1):
            yield (first, *rest)


def view(table: Table, min_cell: int) -> View:
    """All that a reader gets to see."""
    own = below_limit(table, dict.fromkeys(table, min_cell))
    result = suppress(table, own, min_cell)
    return (
        result,
        tuple((name, both) for name, both in sorted(table.items()) if name not in result.hidden),
        sum(p for p, _ in table.values()) if result.shows_totals else None,
        sum(n for _, n in table.values()) if result.shows_totals else None,
    )


@given(tables, st.integers(0, 6))
def test_no_hidden_count_can_be_computed_from_totals_and_sums_of_what_is_shown(
    table: Table, min_cell: int
) -> None:
    result, shown, *totals = view(table, min_cell)
    for column, total in enumerate(totals):
        # Any sum over sites shown follows from the rows; all else a reader has is the total.
        if total is None or not result.hidden:
            continue
        left = total - sum(both[column] for _, both in shown)
        # As every site has a patient of either class, as a reader may know.
        possible = [counts for counts in compositions(left, len(result.hidden)) if min(counts) > 0]
        for values in zip(*possible, strict=True):
            assert max(values) - min(values) >= max(min_cell, 1)


@pytest.mark.parametrize(("min_cell", "most", "sites"), [(2, 9, 2), (2, 7, 3), (5, 12, 2)])
def test_no_hidden_count_can_be_computed_by_a_reader_who_knows_the_rule(
    min_cell: int, most: int, sites: int
) -> None:
    consistent: dict[View, list[tuple[Counts, ...]]] = defaultdict(list)
    columns = [c for total in range(most + 1) for c in compositions(total, sites)]
    for positives, negatives in itertools.product(columns, columns):
        rows = tuple(zip(positives, negatives, strict=True))
        consistent[view(dict(zip("abc", rows, strict=False)), min_cell)].append(rows)
    for (result, *_), fitting in consistent.items():
        if not result.shows_totals:
            assert len(result.hidden) == sites  # nothing is shown at all
            continue
        for name, column in itertools.product(result.hidden, (0, 1)):
            values = {rows["abc".index(name)][column] for rows in fitting}
            assert max(values) - min(values) >= min_cell


@given(tables, st.integers(0, 6))
def test_a_site_below_its_limit_is_hidden_and_no_more_than_needed(
    table: Table, min_cell: int
) -> None:
    own = {name for name, both in table.items() if min(both) < min_cell}
    assert below_limit(table, dict.fromkeys(table, min_cell)) == own
    result = suppress(table, own, min_cell)
    assert own <= result.hidden
    added = sorted(result.hidden - own, key=lambda name: (sum(table[name]), name))
    others = sorted(set(table) - own, key=lambda name: (sum(table[name]), name))
    assert added == others[: len(added)]
    if added:
        before = result.hidden - {added[-1]}
        sums = [sum(table[name][k] for name in before) for k in (0, 1)]
        assert len(before) == 1 or min(sums) < max(min_cell, 1) + len(before)
    if own and not result.shows_totals:
        assert result.hidden == set(table)


@given(tables, st.data())
def test_with_one_hidden_site_the_smallest_other_is_hidden_as_before(
    table: Table, data: st.DataObject
) -> None:
    large = {name: (p + 5, n + 5) for name, (p, n) in table.items()}
    if len(large) > 1:
        one = data.draw(st.sampled_from(sorted(large)))
        others = sorted(large.items(), key=lambda item: (sum(item[1]), item[0]))
        second = next(name for name, _ in others if name != one)
        assert suppress(large, {one}, min_cell=5) == Suppression(
            frozenset({one, second}), shows_totals=True
        )


def test_small_sites_alone_are_joined_by_a_larger_one() -> None:
    table = {"north": (0, 30), "south": (1, 20), "east": (40, 50), "west": (9, 60)}
    result = suppress(table, {"north", "south"}, min_cell=5)
    assert result == Suppression(frozenset({"north", "south", "west"}), True)


def test_a_sum_of_zero_tells_the_counts_whatever_min_cell_is() -> None:
    table = {"north": (0, 30), "south": (0, 20), "east": (40, 50)}
    result = suppress(table, {"north", "south"}, min_cell=0)
    assert result == Suppression(frozenset(table), True)


def test_a_total_that_would_tell_a_small_cell_is_not_shown() -> None:
    table = {"north": (0, 30), "south": (1, 20)}
    both = frozenset(table)
    assert suppress(table, both, min_cell=5) == Suppression(both, False)
    assert suppress({"north": (9, 2)}, ["north"], 5) == Suppression(frozenset({"north"}), False)


def test_without_a_hidden_site_everything_is_shown() -> None:
    assert suppress({"north": (0, 1)}, (), min_cell=5) == Suppression(frozenset(), True)
    assert suppress({}, (), min_cell=5) == Suppression(frozenset(), False)


def test_sites_have_limits_of_their_own() -> None:
    table = {"north": (4, 30), "south": (9, 20), "east": (12, 12)}
    assert below_limit(table, {"north": 3, "south": 10, "east": 12}) == {"south"}


def test_refusals_of_suppression() -> None:
    with pytest.raises(ValueError, match="min-cell is -1"):
        suppress({}, (), -1)
    with pytest.raises(ValueError, match="Sites without counts are to be hidden: west"):
        suppress({"north": (5, 5)}, {"north", "west"}, 5)
