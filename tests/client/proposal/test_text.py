"""The text of a proposed site.toml."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.declared import read_encoding
from client.proposal.classes import Classes, OneColumn
from client.proposal.columns import Column
from client.proposal.found import Found
from client.proposal.labels import Label, Labels
from client.proposal.propose import Proposal
from client.proposal.text import site_toml
from client.settings import SiteSettings
from shared.errors import SiteError
from shared.outcome.binary import BINARY
from shared.outcome.encoding import Encoding, LabelsEncoding

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


def proposal(column: str, value: str, images: Path) -> Proposal:
    settings = SiteSettings(
        folder=Path("/data/site"),
        name="north",
        images=images,
        labels=Path("/data/site/l.csv"),
        patient=column,
        image=column,
        outcome=column,
        encoding=Encoding(BINARY, (("a",), ("b",))),
        covariate=None,
        cache=Path("/nowhere"),
    )
    classes = Classes((value,), (f"not {value}",), (value, value), "")
    unused = (Column(value, ("1", "2", "1")),)
    found = Found(1, 1, (), 0, 0, 0, 0, 0, 0, 0)
    outcome = OneColumn(Column(column, (value,)), "", classes)
    return Proposal(settings, {}, outcome, unused, (), found)


@given(TEXT, TEXT)
def test_names_and_values_are_what_toml_reads_back(column: str, value: str) -> None:
    text = site_toml(proposal(column, value, Path("/data/site/x")))
    assert text.replace("\n", "").isprintable()
    data = tomllib.loads(text)["data"]
    assert (data["patient"], data["image"], data["outcome"]) == (column, column, column)
    assert (data["positive"], data["negative"]) == ([value], [f"not {value}"])
    assert "covariate" not in data, "only its owner chooses one"


def of_labels(labels: Labels) -> str:
    site = proposal("p", "v", Path("/data/site/x"))
    return site_toml(replace(site, outcome=labels))


VALUES = st.lists(st.integers(0, 9).map(str), min_size=2, max_size=9, unique=True)


NAMES = st.text("aé_9 .+-", max_size=6).map(lambda text: f"a{text}b")


@settings(max_examples=30)
@given(NAMES, TEXT.filter(str.strip), VALUES)
def test_labels_are_what_the_site_is_read_with(name: str, column: str, values: list[str]) -> None:
    classes = Classes(tuple(values[:1]), tuple(values[1:2]), tuple(values[2:]), "")
    labels = Labels((Label(name, Column(column, ("0",)), classes),))
    text = of_labels(labels)
    assert text.replace("\n", "").isprintable()
    data = tomllib.loads(text)["data"]
    assert data["table"] == "l.csv"
    assert "outcome" not in data
    found = read_encoding(Path("site.toml"), data)
    assert isinstance(found, LabelsEncoding)
    (own,) = found.columns
    assert (own.column, own.positive, own.negative) == (column.strip(), (values[0],), (values[1],))
    assert found == replace(labels.encoding, columns=found.columns)


def test_paths_inside_the_folder_are_relative() -> None:
    for images, written in (
        ("/data/site/x/y", "x/y"), ("/data/site", "."), ("/data/other", "/data/other"),
    ):  # fmt: skip
        text = site_toml(proposal("p", "v", Path(images)))
        assert tomllib.loads(text)["data"]["images"] == written


def test_a_path_that_is_no_text_is_refused() -> None:
    with pytest.raises(SiteError, match="is not valid UTF-8"):
        site_toml(proposal("p", "v", Path("/data/site/\udcff")))
