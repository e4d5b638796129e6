"""The text of a proposed site.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.proposal.classes import Classes
from client.proposal.columns import Column
from client.proposal.found import Found
from client.proposal.propose import Proposal
from client.proposal.text import site_toml
from client.settings import SiteSettings
from shared.errors import SiteError
from shared.outcome.binary import BINARY
from shared.outcome.encoding import Encoding

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
    found = Found(1, 1, (), 0, 0, 0, 0, 0, 0)
    return Proposal(settings, {}, Column(column, (value,)), classes, unused, (), found)


@given(TEXT, TEXT)
def test_names_and_values_are_what_toml_reads_back(column: str, value: str) -> None:
    text = site_toml(proposal(column, value, Path("/data/site/x")))
    assert text.replace("\n", "").isprintable()
    data = tomllib.loads(text)["data"]
    assert (data["patient"], data["image"], data["outcome"]) == (column, column, column)
    assert (data["positive"], data["negative"]) == ([value], [f"not {value}"])
    assert "covariate" not in data, "only its owner chooses one"


def test_paths_inside_the_folder_are_relative() -> None:
    for images, written in (
        ("/data/site/x/y", "x/y"), ("/data/site", "."), ("/data/other", "/data/other"),
    ):  # fmt: skip
        text = site_toml(proposal("p", "v", Path(images)))
        assert tomllib.loads(text)["data"]["images"] == written


def test_a_path_that_is_no_text_is_refused() -> None:
    with pytest.raises(SiteError, match="is not valid UTF-8"):
        site_toml(proposal("p", "v", Path("/data/site/\udcff")))
