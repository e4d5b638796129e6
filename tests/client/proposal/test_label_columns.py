"""Columns that look like labels, and cells that list several findings."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.proposal.classes import guess_classes
from client.proposal.columns import Column
from client.proposal.label_columns import labels_hint, listed_in
from client.proposal.labels import named_labels
from client.proposal.roles import guess_outcome
from shared.errors import SiteError

TABLE = Path("labels.csv")
LISTS = Column(
    "Finding Labels", ("Effusion|Mass", "No Finding", "Effusion", "Mass", "Effusion|Mass", "Hernia")
)
PROSE = Column("remark", ("rotated, tired", "fine", "a bit dark", "left, lateral", "", ""))
HEART = Column("heart", ("0", "1") * 3)


@pytest.mark.parametrize("text", ["effusion | mass", "heart | mass=Finding Labels"])
def test_a_column_that_lists_findings_says_which_table_is_wanted(text: str) -> None:
    said = (
        r"'Finding Labels' lists several findings in a cell \('Effusion\|Mass'\).* a column for "
        r"each \(.*ass.*\), 1 where it is there and 0 where it is not"
    )
    with pytest.raises(SiteError, match=said):
        named_labels([PROSE, HEART, LISTS], text, TABLE)
    assert "(Effusion, Mass, Hernia, ...)" in labels_hint([PROSE, HEART, LISTS])


def test_lists_are_no_classes_unless_its_owner_says_so() -> None:
    with pytest.raises(SiteError, match=r"make a table with a column for each .* --positive VALUE"):
        guess_classes(LISTS, (), ())
    assert guess_classes(LISTS, ("Mass", "Effusion|Mass"), ()).positive == ("Mass", "Effusion|Mass")
    listed = Column("labels", ("['Effusion', 'Mass']", "['Effusion']", "[]", "['Effusion']"))
    assert listed_in(listed) == ("Effusion", "Mass")


@pytest.mark.parametrize(
    "cells",
    [
        ("a", "b", "a"), ("1;5", "1;6", "1;5"), ("x;y", "z"), ("DOE;JANE", "ROE;RICHARD") * 2,
        ("pneumonia, viral", "pneumonia, bacterial", "none") * 2,
    ],
)  # fmt: skip
def test_other_cells_list_none(cells: tuple[str, ...]) -> None:
    assert listed_in(Column("outcome", cells)) == ()
    assert labels_hint([Column("outcome", cells), PROSE]) == ""


def test_columns_of_yes_and_no_are_offered_and_others_are_not() -> None:
    columns = [
        Column("sex", ("0", "1")), Column("id", ("0", "1")), Column("edema", ("1.0", "", "0.0")),
        Column("Pleural Effusion (any)", ("1", "0", "-1")), Column("kind", ("a", "b")),
        Column("hernia", ("0", "0", "")), Column("grade", ("0", "1", "2")),
    ]  # fmt: skip
    wanted = "--labels 'edema | Pleural Effusion any=Pleural Effusion (any) | hernia', without"
    assert wanted in labels_hint(columns)
    assert labels_hint(columns[:3]) == ""
    assert labels_hint([Column("a", ("0", "0")), Column("b", ("0", "0"))]) == ""


def test_who_has_several_outcomes_reads_of_labels() -> None:
    with pytest.raises(SiteError, match="Several columns look like the outcome") as caught:
        guess_outcome([Column("edema", ("1", "0") * 2), Column("mass", ("yes", "no") * 2)])
    assert "--labels 'edema | mass'," in str(caught.value)
    unnamed = [Column("q1", ("3", "4") * 2), Column("q2", ("5", "6") * 2)]
    with pytest.raises(SiteError, match="No column looks like the outcome") as caught:
        guess_outcome(unnamed)
    assert "--labels" not in str(caught.value)
    with pytest.raises(SiteError, match="No column looks like the outcome") as caught:
        guess_outcome([*unnamed, Column("q3", ("0", "", "0")), Column("q4", ("", "0", "1", "-1"))])
    assert "--labels 'q3 | q4'," in str(caught.value)


@settings(max_examples=30)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=4, unique=True))
def test_what_is_offered_can_be_pasted(names: list[str]) -> None:
    names = [name for name in dict.fromkeys(map(str.strip, names)) if name and name != "edema"]
    columns = [Column(name, ("0", "1")) for name in ["edema", *names]]
    hint = labels_hint(columns)
    if hint:
        option, text, *_ = shlex.split(hint.partition("rerun with ")[2].partition(", without")[0])
        assert option == "--labels"
        assert set(named_labels(columns, text, TABLE).values()) <= set(columns)
