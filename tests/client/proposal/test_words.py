"""What words of a table mean."""

from __future__ import annotations

import pytest

from client.proposal.words import grade_of, is_unknown, meaning_of, plain


@pytest.mark.parametrize(
    ("value", "column", "meaning"),
    [
        ("yes", "x", True), ("No", "x", False), ("1", "x", True), ("0", "x", False),
        ("TRUE", "x", True), ("normal", "x", False), ("abnormal", "x", True),
        ("not normal", "x", True), ("No Finding", "x", False), ("kein BPD", "x", False),
        ("ohne Befund", "x", False), ("unauffällig", "x", False), ("Pneumonie", "x", True),
        ("BPD", "group", True), ("Edema", "edema", True), ("Control", "group", False),
        ("non-COVID", "x", False), ("positiv", "x", True), ("sain", "x", False),
        ("+", "x", True), ("-", "x", False), ("alpha", "x", None), ("alpha", "Alpha", True),
        ("2", "x", None), ("", "x", None),
    ],
)  # fmt: skip
def test_what_a_value_says_of_the_finding(value: str, column: str, meaning: bool | None) -> None:
    assert meaning_of(value, column) is meaning


@pytest.mark.parametrize(
    "value", ["unknown", "?", "n/a", "-1.0", "Uncertain", "na", "#N/A", "N.A.", "#DIV/0!", "#REF!"]
)
def test_what_says_that_nobody_knows(value: str) -> None:
    assert is_unknown(value)


def test_words_apart_in_small_letters() -> None:
    assert plain("BPD_Grade") == "bpd grade"
    assert plain("PatientID") == "patient id"
    assert plain("Größe (cm)") == "groesse cm"
    assert [grade_of(text) for text in ("Mild", "moderate BPD", "schwer", "none")] == [
        1,
        2,
        3,
        None,
    ]
