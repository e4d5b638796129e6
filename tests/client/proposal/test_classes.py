"""Which values are positive and which negative, or that nobody can tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.declared import normalised_value
from client.proposal.classes import guess_classes
from client.proposal.columns import Column
from client.proposal.given import given_classes
from shared.errors import SiteError


def column(*values: str, name: str = "outcome") -> Column:
    return Column(name, values * 2)


@pytest.mark.parametrize(
    ("values", "positive", "negative", "neither"),
    [
        (["yes", "no"], ["yes"], ["no"], []),
        (["1", "0"], ["1"], ["0"], []),
        (["1.0", "0.0", "-1.0", ""], ["1.0"], ["0.0"], ["-1.0"]),
        (["BPD", "normal"], ["BPD"], ["normal"], []),
        (["positive", "pos", "neg", "negative", "?"], ["positive", "pos"], ["neg", "negative"],
         ["?"]),
        (["none", "mild"], ["mild"], ["none"], []),
        (["control", "alpha"], ["alpha"], ["control"], []),
    ],
)  # fmt: skip
def test_by_the_words(
    values: list[str], positive: list[str], negative: list[str], neither: list[str]
) -> None:
    found = guess_classes(column(*values), (), ())
    assert [*map(sorted, (found.positive, found.negative, found.neither))] == [
        *map(sorted, (positive, negative, neither))
    ]


@pytest.mark.parametrize(
    "values",
    [["viral", "bacterial"], ["alpha", "beta"], ["1", "2"], ["yes", "1"], ["normal", "healthy"],
     ["male", "female"], ["(x)", "[x]", "{y}"]],
)  # fmt: skip
def test_what_nobody_can_tell_is_asked(values: list[str]) -> None:
    with pytest.raises(SiteError, match=r"--positive VALUE.*--outcome COLUMN") as caught:
        guess_classes(column(*values), (), ())
    assert all(f"'{value}' (2)" in str(caught.value) for value in values)


@pytest.mark.parametrize("values", [["normal"], ["BPD", "?"], ["?", "unknown"], [""]])
def test_one_outcome_is_none(values: list[str]) -> None:
    with pytest.raises(SiteError, match=r"not two outcomes.*--outcome COLUMN"):
        guess_classes(column(*values), (), ())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["mild", "severe"], "cut between mild and moderate"),
        (["no", "mild", "severe"], "--positive VALUE"),
        (["control", "alpha"], "'alpha' counts as positive"),
    ],
)
def test_what_is_a_guess_is_said_so(values: list[str], words: str) -> None:
    assert words in guess_classes(column(*values), (), ()).check
    assert guess_classes(column("yes", "no"), (), ()).check == ""


def test_the_owners_own_words_count() -> None:
    ours = column("viral", "bacterial", "fungal", "unknown")
    found = guess_classes(ours, ("VIRAL",), ())
    assert (found.positive, set(found.negative)) == (("viral",), {"bacterial", "fungal"})
    assert (found.neither, "'bacterial', 'fungal'" in found.check) == (("unknown",), True)
    found = guess_classes(ours, ("viral,fungal",), ("bacterial",))
    assert (set(found.positive), found.check) == ({"viral", "fungal"}, "")
    found = guess_classes(ours, (), ("bacterial",))
    assert set(found.positive) == {"viral", "fungal"}
    with pytest.raises(SiteError, match="has no such value; it has 'viral', 'bacterial'"):
        guess_classes(ours, ("vital",), ())
    with pytest.raises(SiteError, match="stands in both"):
        guess_classes(ours, ("viral",), ("viral",))


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["No Finding", "Mass", "Effusion"], ["No Finding", "Effusion", "Mass"]),
        (["severe", "unknown", "mild", "no", "moderate"], ["no", "mild", "moderate", "severe"]),
        (["Grade 2", "Grade 0", "Grade 1"], ["Grade 0", "Grade 1", "Grade 2"]),
        (["10", "2", "0", "?"], ["0", "2", "10"]),
        (["10.0", "2.0", "0.0", "?"], ["0", "2", "10"]),
        (["moderate/severe", "mild", "no BPD"], ["no BPD", "mild", "moderate severe"]),
        (["viral", "normal", "bacterial", "healthy"], ["healthy", "bacterial", "viral"]),
        (["COVID-19 (PCR)", "flu", "rsv"], ["COVID-19 PCR", "flu", "rsv"]),
    ],
)
def test_three_meanings_or_more_are_classes_in_the_same_order_at_every_site(
    values: list[str], names: list[str]
) -> None:
    for shuffled in (values, values[::-1], sorted(values)):
        found = guess_classes(column(*shuffled), (), ())
        assert (list(found.several), found.positive) == (names, ())
        assert "ordinal = true" in found.check
        assert found.encoding.outcome.names == tuple(names)
    held = [value for own in found.several.values() for value in own]
    assert sorted([*held, *found.neither]) == sorted(values)
    assert guess_classes(column(*values), (values[0],), ()).several == {}


VALUES = st.lists(
    st.sampled_from(["yes", "no", "0", "1", "2", "mild", "severe", "normal", "x", "y", "?", "1.0"])
    | st.text("ab 0", max_size=3),
    min_size=1, max_size=8,
)  # fmt: skip


@given(VALUES, st.lists(st.sampled_from(["yes", "x"]), max_size=2))
def test_no_value_is_lost_or_in_two_classes(values: list[str], positive: list[str]) -> None:
    ours = Column("outcome", tuple(values))
    try:
        found = guess_classes(ours, positive, ())
    except SiteError:
        return
    named = [value for own in found.by_word.values() for value in own] + [*found.neither]
    assert sorted(named) == sorted(ours.values)
    assert all(found.by_word.values())
    assert len(found.by_word) == 2 or (len(found.several) > 2 and not positive)
    assert len({normalised_value(value) for value in named}) == len(named)


@pytest.mark.parametrize(
    ("values", "name", "ordinal"),
    [
        (["no", "mild", "severe"], "outcome", True),
        (["Grade 0", "Grade 1", "Grade 2"], "outcome", True),
        (["0", "1", "2"], "KL_grade", True),
        (["0", "1", "2"], "outcome", False),
        (["normal", "viral", "bacterial"], "severity", False),
        (["none", "mild", "viral"], "outcome", False),
    ],
)
def test_grades_have_an_order_and_codes_have_none(
    values: list[str], name: str, ordinal: bool
) -> None:
    assert guess_classes(column(*values, name=name), (), ()).ordinal is ordinal


def test_a_site_without_a_grade_is_told_that_others_may_have_it() -> None:
    found = guess_classes(column("none", "mild"), (), ())
    assert "--classes 'none | mild | moderate | severe'" in found.check


@pytest.mark.parametrize(
    ("text", "ordinal", "outcome", "values", "neither"),
    [
        ("none | mild | severe", None, "classes: none | mild | severe",
         [("None",), ("mild",), ("severe",)], ("?",)),
        ("ordinal: none | mild | severe", None, "ordinal: none | mild | severe",
         [("None",), ("mild",), ("severe",)], ("?",)),
        ("low=NONE, mild|high=severe", True, "ordinal: low | high",
         [("None", "mild"), ("severe",)], ("?",)),
        ("none | mild", None, "classes: none | mild", [("None",), ("mild",)], ("severe", "?")),
        ("none | mild | fatal=9", False, "classes: none | mild | fatal",
         [("None",), ("mild",), ("9",)], ("severe", "?")),
    ],
)  # fmt: skip
def test_the_owner_names_the_classes(
    text: str, ordinal: bool | None, outcome: str, values: list[tuple[str, ...]],
    neither: tuple[str, ...],
) -> None:  # fmt: skip
    found = given_classes(column("None", "mild", "severe", "?"), text, ordinal=ordinal)
    assert str(found.encoding.outcome) == outcome
    assert list(found.several.values()) == values
    assert found.neither == neither
    assert ("'9' does not occur" in found.check) is ("9" in text)


def test_accents_may_be_typed_apart() -> None:
    found = given_classes(column("Ödem", "kein"), "kein | O\u0308dem", ordinal=None)
    assert found.encoding.outcome.names == ("kein", "Ödem")
    assert found.several["Ödem"] == ("Ödem",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("none", "2 to 20 classes"),
        ("none | <b>", "cannot be one of"),
        ("none | a=None", "means both none and a"),
        ("x | y", "no value of 'outcome' is one of these names; it has 'None', 'mild'"),
        ("none | None", "have the same name"),
        ("", "cannot be one of|2 to 20"),
    ],
)
def test_classes_that_cannot_be_are_refused(text: str, words: str) -> None:
    with pytest.raises(SiteError, match=words):
        given_classes(column("None", "mild"), text, ordinal=None)


@pytest.mark.parametrize("missing", ["#N/A", "n.a.", "N/A", "#DIV/0!"])
def test_a_cell_that_is_not_available_is_no_lowest_grade(missing: str) -> None:
    found = guess_classes(column("none", "mild", "severe", missing, name="grade"), (), ())
    assert dict(found.several) == {"none": ("none",), "mild": ("mild",), "severe": ("severe",)}
    assert found.neither == (missing,)
