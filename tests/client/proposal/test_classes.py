"""Which values are positive and which negative, or that nobody can tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.declared import normalised_value
from client.proposal.classes import guess_classes
from client.proposal.columns import Column
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
