"""Several labels: their columns, the values that mean each, and what is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.declared import normalised_value
from client.proposal.columns import Column
from client.proposal.label_values import labels_of
from client.proposal.labels import Labels, named_labels
from client.proposal.propose import Choices, propose
from shared.errors import SiteError

TABLE = Path("labels.csv")
Values = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def labels(
    cells: Mapping[str, Sequence[str]], positive: Sequence[str] = (), negative: Sequence[str] = ()
) -> Labels:
    return labels_of({n: Column(n, tuple(own)) for n, own in cells.items()}, positive, negative)


def values(found: Labels) -> dict[str, Values]:
    return {
        one.name: (one.classes.positive, one.classes.negative, one.classes.neither)
        for one in found.each
    }


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "0", "", "1"], (("1",), ("0",), ())),
        (["1.0", "0.0", "-1.0", "", "1"], (("1.0",), ("0.0",), ("-1.0",))),
        (["Yes", "no", "unknown"], (("Yes",), ("no",), ("unknown",))),
        (["enlarged", "normal", "enlarged"], (("enlarged",), ("normal",), ())),
        (["effusion", "none"], (("effusion",), ("none",), ())),
        # What a site has no row of, another may have.
        (["0", "0", ""], (("1",), ("0",), ())),
        (["1.0", "", "-1.0"], (("1.0",), ("0",), ("-1.0",))),
        (["absent"], (("present",), ("absent",), ())),
    ],
)
def test_values_by_their_words(cells: list[str], expected: Values) -> None:
    found = labels({"effusion": cells})
    assert values(found) == {"effusion": expected}
    positive, negative, missing = (
        {normalised_value(value) for value in own} for own in (*expected[:2], ("", *expected[2]))
    )
    assert found.each[0].rows == tuple(
        sum(normalised_value(cell) in own for cell in cells)
        for own in (positive, negative, missing)
    )


def test_a_column_without_values_gets_those_of_another() -> None:
    found = labels({"a": ["", ""], "b": ["ja", "nein"], "c": ["-1", ""]})
    assert values(found) == {
        "a": (("ja",), ("nein",), ()),
        "b": (("ja",), ("nein",), ()),
        "c": (("ja",), ("nein",), ("-1",)),
    }
    assert any(
        "No row is positive for a ('ja' does not occur), c" in said for said in found.remarks
    )
    assert any("'-1' (c 1)" in said and "missing" in said for said in found.remarks)


def test_the_options_count_for_each_column_that_has_the_value() -> None:
    cells = {"mass": ["1", "2", "3", "?"], "heart": ["big", "small"], "hernia": ["0", "1"]}
    assert values(labels(cells, ["2,3", "big"])) == {
        "mass": (("2", "3"), ("1",), ("?",)),
        "heart": (("big",), ("small",), ()),
        "hernia": (("1",), ("0",), ()),
    }
    assert any(
        said == "All other values count as negative: 'small' (heart)."
        for said in labels(cells, ["2,3", "big"]).remarks
    )
    # With both, what is in neither list is missing, and what does not occur may occur elsewhere.
    assert values(labels(cells, ["3", "big", "1"], ["0", "small"])) == {
        "mass": (("3", "1"), ("0", "small"), ("2", "?")),
        "heart": (("big",), ("small",), ()),
        "hernia": (("1",), ("0",), ()),
    }
    assert values(labels({"a": ["0", "1"]}, [], ["1"])) == {"a": (("0",), ("1",), ())}


@pytest.mark.parametrize(
    ("cells", "positive", "negative", "words"),
    [
        ({"a": ["0", "1"], "heart": ["big", "small"], "lung": ["1", "2"]}, (), (),
         r"positive: 'heart' \('big' 1, 'small' 1\); 'lung' \('1' 1, '2' 1\).*--positive VALUE"),
        ({"a": ["no", "mild", "severe"]}, (), (), r"'a' .*--positive VALUE"),
        ({"a": ["0", "1", "2"]}, (), (), "'a' .*--positive VALUE"),
        ({"a": ["none", "mild"]}, (), (), "'a' .*--positive VALUE"),
        ({"a": ["", "?"], "b": [""]}, (), (), r"No row says .*'a' \('\?' 1\); 'b' \(no value\)"),
        ({"a": ["0", "1"]}, ("2",), (), "--positive is '2', but no label's column has .* '0', '1'"),
        ({"a": ["0", "1"]}, ("1",), ("0,1",), "'1' stands in both --positive and --negative"),
        ({"a": ["0", "1"], "b": ["1"]}, ("1,0",), (), "No value of 'a' is left to be negative"),
    ],
)  # fmt: skip
def test_columns_of_which_nobody_can_tell_are_named(
    cells: dict[str, list[str]], positive: Sequence[str], negative: Sequence[str], words: str
) -> None:
    with pytest.raises(SiteError, match=words):
        labels(cells, positive, negative)


CELLS = st.lists(
    st.sampled_from(["", "0", "1", "1.0", "-1", "yes", "no", "x", "enlarged", "?", "2"]),
    min_size=3, max_size=3,
)  # fmt: skip


@given(
    st.lists(CELLS, min_size=1, max_size=3),
    st.lists(st.sampled_from(["1", "x", "yes"]), max_size=2),
    st.lists(st.sampled_from(["0", "no"]), max_size=2),
)
def test_each_row_counts_once_and_each_side_has_a_value(
    cells: list[list[str]], positive: list[str], negative: list[str]
) -> None:
    try:
        found = labels({f"l{n}": own for n, own in enumerate(cells)}, positive, negative)
    except SiteError:
        return
    for label, own in zip(found.each, cells, strict=True):
        assert sum(label.rows) == len(own)
        assert min(label.rows) >= 0
        sides = label.classes.positive, label.classes.negative
        assert all(sides)
        assert not set(map(normalised_value, sides[0])) & set(map(normalised_value, sides[1]))
        named = {*label.classes.positive, *label.classes.negative, *label.classes.neither}
        assert named >= label.column.values.keys()


COLUMNS = [
    Column(name, ("0", "1", "1")) for name in ("id", "Pleural_Effusion", "heart", "BPD", "bpd")
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BPD | HEART", {"BPD": "BPD", "HEART": "heart"}),
        ("labels: pleural effusion|bpd", {"pleural effusion": "Pleural_Effusion", "bpd": "bpd"}),
        ("a = heart | b=PLEURAL_EFFUSION", {"a": "heart", "b": "Pleural_Effusion"}),
    ],
)
def test_labels_and_their_columns(text: str, expected: dict[str, str]) -> None:
    found = named_labels(COLUMNS, text, TABLE)
    assert [(name, column.name) for name, column in found.items()] == [*expected.items()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("heart | edema | mass=Mass", "no column 'edema', 'Mass'; .*'heart', .*'edema=COLUMN'"),
        ("heart | cor=heart", "heart and cor have the same column 'heart'"),
        ("heart | Heart", "have the same name"),
        ("heart |", "'' cannot be one of the outcome's labels"),
        ("ordinal: heart | BPD", "classes are named with --classes"),
    ],
)
def test_labels_that_cannot_be_are_refused(text: str, words: str) -> None:
    with pytest.raises(SiteError, match=words):
        named_labels(COLUMNS, text, TABLE)


WritePng = Callable[[Path, int], Path]


@pytest.mark.parametrize(
    "beside",
    [{"outcome": "mass"}, {"classes": "a | b"}, {"ordinal": False}, {"covariate": "mass"}],
)
def test_what_labels_do_not_go_with(
    tmp_path: Path, write_png: WritePng, beside: dict[str, object]
) -> None:
    (tmp_path / "labels.csv").write_text("patient,image,mass\n1,1.png,0\n2,2.png,1\n")
    choices = Choices(labels="mass", **beside)  # type: ignore[arg-type]
    with pytest.raises(SiteError, match=rf"--labels and --(no-)?{next(iter(beside))}"):
        propose(tmp_path, tmp_path / "labels.csv", choices)
