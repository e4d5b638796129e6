"""What a site's outcome and a run's disagree in, in words."""

from __future__ import annotations

import unicodedata
from typing import Literal

import pytest

from shared.errors import ConfigError
from shared.outcome.agreement import disagreement
from shared.outcome.registry import outcome_of, parse_outcome

RUN = "ordinal: none | mild | severe"


@pytest.mark.parametrize(
    ("site", "run", "words"),
    [
        ("classes: none | mild | severe", RUN, "add `ordinal = true`"),
        (RUN, "classes: none | mild | severe", "take `ordinal` out"),
        ("ordinal: mild | none | severe", RUN, "the same in another order"),
        ("ordinal: None | mild | severe", RUN, "upper and lower case alone"),
        ("ordinal: none | mild", RUN, "the site lacks 'severe'"),
        ("ordinal: none | mild | fatal", RUN,
         "the site lacks 'severe' and the run lacks 'fatal'"),
        ("labels: a | b", "labels: b | a", "the labels are the same in another order"),
        ("binary", RUN, "both must have the same classes or labels in the same order"),
        ("labels: none | mild | severe", RUN, "both must have the same classes or labels"),
        ("<b>", RUN, "both must have the same classes or labels"),
    ],
)  # fmt: skip
def test_what_differs(site: str, run: str, words: str) -> None:
    assert words in disagreement(site, run)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("kind", ["classes", "ordinal", "labels"])
def test_names_are_the_same_however_accents_are_written(
    kind: str, form: Literal["NFC", "NFD"]
) -> None:
    """A Mac's file names have them apart."""
    text = f"{kind}: Ödem | Übergang"
    assert str(parse_outcome(unicodedata.normalize(form, text))) == text
    with pytest.raises(ConfigError, match="have the same name"):
        outcome_of(kind, ["Ödem", unicodedata.normalize("NFD", "ödem")])
