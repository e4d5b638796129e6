"""How the final model came about: on the page of a run, and what of it others may see."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.disclosure.page import ending_on_page
from server.report.read import read_report
from server.report.sections.ending import ending
from server.results.ending import CandidateResult, Choice, Ending, read_ending
from shared.errors import RunError
from shared.metrics.summary import BinaryMetrics

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
FOUND = Ending(
    (26, 30),
    Choice(
        10,
        0.25,
        tuple(CandidateResult(s, 0.612 + s, 0.0834, 0.7512 - s / 10) for s in SHARES),
        ("east", "north"),
        {"west": "not connected"},
    ),
    5,
    6,
    0.5,
    0.5,
)


def text(found: Ending) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", ending(found)).split())


def test_the_paragraph_and_the_table() -> None:
    page = text(FOUND)
    assert (
        "The final model is 25 % of the way from the model of round 10, the last of the probe, to "
        "the mean of the models of rounds 26 to 30."
    ) in page
    assert "chosen 0.862 0.083 0.726" in page
    assert "Without west, which did not answer." in page


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (Ending((30, 30)), "The final model is the model of round 30."),
        (Ending((26, 30)), "The final model is the mean of the models of rounds 26 to 30."),
        (
            Ending((26, 30), Choice(10, 0.0, (), (), {})),
            "The final model is the model of round 10, the last of the probe.",
        ),
        (
            Ending((26, 30), Choice(10, 1.0, (), (), {})),
            "The final model is the mean of the models of rounds 26 to 30.",
        ),
    ],
)
def test_each_end_in_words(found: Ending, sentence: str) -> None:
    assert text(found).removeprefix("The final model ").startswith(sentence)


def test_the_summary_gives_it_back() -> None:
    document = json.loads(json.dumps(FOUND.to_json()))
    assert read_ending(document) == Ending(FOUND.averaged, FOUND.choice)
    assert read_ending({"averaged_rounds": [4, 5]}) == Ending((4, 5))


def test_others_see_few_digits_and_without_totals_none() -> None:
    shown = ending_on_page(FOUND, BinaryMetrics(positives=20, negatives=40), 5)
    assert shown.choice is not None
    assert shown.choice.candidates[1] == CandidateResult(0.25, 0.9, None, 0.73)
    hidden = ending_on_page(FOUND, None, 5)
    assert hidden.choice is not None
    assert {one.log_loss for one in hidden.choice.candidates} == {None}
    assert {one.auroc for one in hidden.choice.candidates} == {None}
    assert (hidden.choice.share, ending_on_page(FOUND, None, 0)) == (0.25, FOUND)
    assert text(hidden).count("not shown") == 15


def test_the_page_reads_it_from_the_summary(make_run: Callable[..., Path]) -> None:
    folder = make_run()
    assert read_report(folder).ending is None
    file = folder / "summary.json"
    summary: dict[str, Any] = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(summary | {"end": FOUND.to_json()}), "utf-8")
    found = read_report(folder).ending
    assert found is not None
    assert found.averaged == (26, 30)
    file.write_text(json.dumps(summary | {"end": {"averaged_rounds": "all"}}), "utf-8")
    with pytest.raises(RunError, match="cannot be read together"):
        read_report(folder)
