"""Names that are likely meant by others: typing errors, and never another number."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from client.data.likely import likely_names


@pytest.mark.parametrize(
    ("wanted", "names", "expected"),
    [
        ("IMG_27", ["IMG-27.png", "IMG-28.png"], 0),
        ("IMGO7.png", ["IMG08.png", "IMG07.png"], 1),
        ("scanl2", ["scan12.dcm"], 0),
        ("P7", ["p007"], 0),
        ("a/b/x 1.png", ["c/x_1.dcm.png"], 0),
        ("x1.png", ["x1 (2).png"], 0),
        ("x1.png", ["x1 - Kopie.png"], 0),
        ("patiant12_left", ["patient12_left.png"], 0),
        ("x1", ["x2"], None),
        ("x12", ["x21"], None),
        ("x1", ["x-1", "x_1"], None),
        ("left12", ["right12"], None),
    ],
)
def test_what_is_likely_meant(wanted: str, names: list[str], expected: int | None) -> None:
    assert likely_names([wanted], names).get(wanted) == expected


def test_what_several_names_may_mean_is_nobodys() -> None:
    assert likely_names(["x_1", "x-1"], ["x1"]) == {}


@pytest.mark.parametrize("long", ["_" * 1_000_000 + "z", ".png" * 250_000, "(1" * 500_000])
def test_a_name_that_a_hostile_header_has_takes_no_hours(long: str) -> None:
    assert likely_names([long, "x_7"], ["x7", long + "q"])["x_7"] == 0


STEM = st.from_regex(r"[abcxy]{2,6}[_-]?[0-9]{1,3}", fullmatch=True)


@given(STEM, st.lists(STEM, max_size=8))
def test_only_one_name_of_the_same_numbers_is_found(wanted: str, names: list[str]) -> None:
    found = likely_names([wanted], names)
    if wanted in found:
        numbers = [str(int(re.sub(r"\D", "", name))) for name in (wanted, names[found[wanted]])]
        assert numbers[0] == numbers[1]


@given(
    st.from_regex(r"[abcxy]{2,6}", fullmatch=True),
    st.integers(0, 999),
    st.integers(0, 999),
    st.sampled_from(["_", "-", " ", "."]),
    st.integers(0, 3),
)
def test_separators_and_zeros_are_seen_through(
    word: str, number: int, other: int, separator: str, zeros: int
) -> None:
    assume(number != other)
    wanted = f"{word}{separator}{'0' * zeros}{number}"
    assert likely_names([wanted], [f"{word}{other}.png", f"{word}-{number}.png"]) == {wanted: 1}
