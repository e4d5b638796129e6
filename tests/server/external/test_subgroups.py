from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.external.subgroups import (
    MOST_GROUPS,
    Column,
    assign,
    divide,
    parse_columns,
    require_few_groups,
)
from shared.errors import ConfigError
from shared.run.patient_scores import PatientScore

SEX, AGE = Column("sex"), Column("age", (1, 5, 10))


def patients(column: str, *said: tuple[str, ...]) -> list[PatientScore]:
    return [
        PatientScore("north", f"P{n}", n % 2, 0.5, 1, {column: one}) for n, one in enumerate(said)
    ]


@pytest.mark.parametrize(
    ("said", "group"),
    [
        (("F",), "F"),
        ((" f ",), "F"),
        (("F", "f"), "F"),
        (("F", "M"), "several"),
        (("F", ""), "several"),
        (("",), "not stated"),
        (("NA",), "not stated"),
        (("nan", ""), "not stated"),
        ((), "not stated"),
    ],
)
def test_a_patient_is_in_the_group_that_all_images_name(said: tuple[str, ...], group: str) -> None:
    assert assign(SEX, patients("sex", ("F",), ("F",), ("M",), said))[-1] == group


def test_one_and_1_point_0_are_one_value() -> None:
    assert assign(SEX, patients("sex", ("1",), ("1.0",), ("1",), ("10",))) == ["1", "1", "1", "10"]


@pytest.mark.parametrize(
    ("age", "group"),
    [
        ("0.99", "below 1"), ("1", "1 to below 5"), ("4,9", "1 to below 5"), ("5", "5 to below 10"),
        ("10", "10 or more"), ("1e9", "10 or more"), ("-3", "below 1"), ("12Y", "not a number"),
        ("inf", "not a number"), ("", "not stated"), ("nan", "not stated"),
    ],
)  # fmt: skip
def test_numbers_are_cut_at_the_edges(age: str, group: str) -> None:
    assert assign(AGE, patients("age", (age,))) == [group]


def test_ages_within_one_interval_are_one_group() -> None:
    assert assign(AGE, patients("age", ("1.5", "4"), ("4", "6"))) == ["1 to below 5", "several"]


def test_a_patient_without_the_column_has_no_value() -> None:
    assert assign(AGE, patients("sex", ("F",))) == ["not stated"]


def test_groups_stand_in_their_order() -> None:
    ages = patients("age", ("",), ("20",), ("x",), ("0",), ("7",), ("0", "9"))
    assert list(divide(AGE, ages)) == [
        "below 1", "5 to below 10", "10 or more", "several", "not a number", "not stated",
    ]  # fmt: skip
    words = patients("sex", ("10",), ("9",), ("b",), ("A",), ("",))
    assert list(divide(SEX, words)) == ["9", "10", "A", "b", "not stated"]


@given(st.lists(st.lists(st.sampled_from(["F", "f", "M", "", "NA", "3", "7.5"]), max_size=3)))
def test_each_patient_is_in_one_group(said: list[list[str]]) -> None:
    for column in (SEX, Column("sex", (5,))):
        everybody = patients("sex", *map(tuple, said))
        groups = divide(column, everybody)
        assert sorted(p.patient for own in groups.values() for p in own) == sorted(
            p.patient for p in everybody
        )
        assert all(groups.values())


def test_columns_as_they_are_given() -> None:
    assert parse_columns(["sex", "age:1,5,10", "Alter in Jahren:18"]) == (
        SEX, AGE, Column("Alter in Jahren", (18,)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        (["age:5,1"], "must ascend"),
        (["age:5,5"], "must ascend"),
        (["age:one"], "must be numbers"),
        (["age:"], "must be numbers"),
        (["age:1,nan"], "must be numbers"),
        ([""], "names no column"),
        ([":5"], "names no column"),
        (["sex", "sex:1"], "given twice"),
    ],
)
def test_columns_that_are_not_understood(given_: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse_columns(given_)


def test_more_groups_than_can_be_read() -> None:
    require_few_groups(SEX, map(str, range(MOST_GROUPS)))
    with pytest.raises(ConfigError, match=r"makes 21 groups.*--by sex:1,5,10"):
        require_few_groups(SEX, map(str, range(MOST_GROUPS + 1)))
    require_few_groups(AGE, map(str, range(500)))
