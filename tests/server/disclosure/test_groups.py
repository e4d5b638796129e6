"""No sum or difference of what is shown gives a hidden site away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import null_space

from server.disclosure.groups import ShownGroups

NAMES = ("a", "b", "c", "d", "e")
LARGE, SMALL = (20, 30), (3, 9)


def can_be_computed(groups: Sequence[set[str]], wanted: set[str]) -> bool:
    """Whether all tables that agree in what is shown agree in the sum that is wanted."""
    matrix = np.array([[float(name in group) for name in NAMES] for group in groups])
    row = np.array([float(name in wanted) for name in NAMES])
    return bool(np.allclose(null_space(matrix).T @ row, 0, atol=1e-9))


def test_all_sites_less_each_of_the_others() -> None:
    counts = dict.fromkeys("abc", LARGE) | {"d": SMALL}
    shown = ShownGroups(counts, {"d"}, 5)
    assert shown.admit("abcd")
    assert not shown.admit("d")
    assert shown.admit("a")
    assert shown.admit("b")
    assert not shown.admit("c")  # what is left of all is d
    assert not shown.admit("abc")
    assert shown.admit("abcd")


def test_nothing_is_held_back_where_nothing_is_hidden() -> None:
    shown = ShownGroups(dict.fromkeys("ab", LARGE), set(), 5)
    assert all(shown.admit(group) for group in ("ab", "a", "b"))


@pytest.mark.parametrize(("small", "admitted"), [((5, 9), True), ((4, 9), False)])
def test_two_hidden_sites_together_must_not_be_few_either(
    small: tuple[int, int], admitted: bool
) -> None:
    counts = {"a": LARGE, "b": small, "c": (2, 9)}
    shown = ShownGroups(counts, {"b", "c"}, 5)
    assert shown.admit("abc")
    assert shown.admit("a") is admitted


groups = st.lists(st.sets(st.sampled_from(NAMES), min_size=1), min_size=1, max_size=9)


@given(groups, st.sets(st.sampled_from(NAMES), min_size=1, max_size=3))
def test_a_group_is_refused_just_where_a_hidden_site_follows(
    asked: list[set[str]], hidden: set[str]
) -> None:
    counts = dict.fromkeys(NAMES, LARGE)  # hidden by their own wish, so only single ones matter
    shown = ShownGroups(counts, hidden, 5)
    admitted: list[set[str]] = []
    for group in asked:
        revealed = any(can_be_computed([*admitted, group], {name}) for name in hidden)
        assert shown.admit(group) is not revealed
        if not revealed:
            admitted.append(group)
