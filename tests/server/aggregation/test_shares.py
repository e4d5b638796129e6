"""No site has more than its share, and nothing changes where none has."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.aggregation.shares import MOST_IMAGES, capped

SITES = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.integers(1, 10**6), min_size=1, max_size=9
)


@given(SITES, st.floats(0.01, 1.0))
def test_no_share_is_larger_than_allowed(images: dict[str, int], most: float) -> None:
    weights = capped(images, most)
    total = sum(weights.values())
    assert weights.keys() == images.keys()
    assert max(weights.values()) <= max(most, 1 / len(images)) * total * 1.001 + 1
    if max(images.values()) <= most * sum(images.values()):
        assert weights == images


@given(SITES, st.floats(0.2, 0.99))
def test_the_others_keep_their_proportions_and_the_order(
    images: dict[str, int], most: float
) -> None:
    weights = capped(images, most)
    ordered = sorted(images, key=lambda site: images[site])
    assert [weights[s] for s in ordered] == sorted(weights.values())
    below = [s for s in images if Fraction(weights[s], sum(weights.values())) < Fraction(most) / 2]
    for one in below:
        for other in below:
            assert weights[one] / weights[other] == pytest.approx(images[one] / images[other], 0.01)


def test_half_a_billion_invented_images_count_for_the_share() -> None:
    weights = capped({"north": 30, "east": 20, "liar": MOST_IMAGES}, 0.9)
    assert weights == {"north": 30_000, "east": 20_000, "liar": 450_000}
    assert sum(capped({"one": MOST_IMAGES, "two": 4 * 10**8}, 0.5).values()) < 2**30


def test_a_share_that_cannot_be_kept_makes_all_equal() -> None:
    assert capped({"a": 7, "b": 1}, 0.5) == {"a": 1, "b": 1}
    assert capped({"a": 7, "b": 1}, 0.3) == {"a": 1, "b": 1}
    assert capped({"alone": 7}, 0.3) == {"alone": 1}
    assert capped({}, 0.3) == {}
