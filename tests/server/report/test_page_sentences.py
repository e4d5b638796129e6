"""What the page says of a run fits how the run was made and what came out of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.report.page import run_page
from server.report.read import read_report
from shared.metrics.histogram import Histogram

pytestmark = pytest.mark.usefixtures("undrawn")
MakeRun = Callable[..., Path]
ReadPage = Callable[[str], Any]


def guessing(patients: int) -> Histogram:
    """Scores that have nothing to do with the class."""
    logits = np.linspace(-1, 1, 2 * patients)
    return Histogram.from_logits(logits, np.arange(2 * patients) % 2)


def text_of(run: Path, read_page: ReadPage, min_cell: int | None = 5) -> str:
    return str(read_page(run_page(read_report(run, min_cell))).text)


def test_a_model_that_guesses_is_not_said_to_detect(make_run: MakeRun, read_page: ReadPage) -> None:
    counts = {"east": guessing(30), "north": guessing(40)}
    text = text_of(make_run(counts, frozenset()), read_page)
    assert "it did not distinguish patients with the finding from those without it" in text
    assert "detected" not in text.split("For research.")[0]


def test_the_finding_is_named_where_it_has_a_name(make_run: MakeRun, read_page: ReadPage) -> None:
    run = make_run(finding="viral pneumonia")
    root = read_page(run_page(read_report(run, 5)))
    assert root.all("title")[0].text == "viral pneumonia, run run - FedThaw"
    assert root.all("h1")[0].text == "viral pneumonia, run run"
    assert "it detected viral pneumonia with an AUROC" in root.all("header")[0].text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "Frozen stages keep their pretrained weights exactly"),
        ({"weights": "random"}, "Frozen stages keep their random weights exactly"),
        ({"weights": "random", "schedule": "probe"}, "Only the head trains and is sent."),
        ({"schedule": "full"}, "The head trains alone at first, then all stages train"),
    ],
)
def test_the_schedule_in_words(
    settings: dict[str, Any], said: str, make_run: MakeRun, read_page: ReadPage
) -> None:
    text = text_of(make_run(**settings), read_page)
    assert said in text
    assert ("pretrained weights" in text) is ("weights" not in settings)


def test_few_patients_are_pointed_out(make_run: MakeRun, read_page: ReadPage) -> None:
    few = text_of(make_run({"east": guessing(6)}, frozenset()), read_page, 1)
    assert "Few patients: with 6 with the finding and 6 without it" in few
    assert "One site trained a model by itself" in few


def test_many_are_not(make_run: MakeRun, read_page: ReadPage) -> None:
    assert "Few patients" not in text_of(make_run(), read_page)


def test_nothing_is_joined_on_the_owners_page(make_run: MakeRun, read_page: ReadPage) -> None:
    run = make_run(hidden=frozenset(), sites="/srv/a")
    own, others = text_of(run, read_page, None), text_of(run, read_page, 5)
    assert "each step of the line joins at least 5 patients" in others
    for words in ("each step", "least 0 ", "has 0 ", "holds 0 "):
        assert words not in own


def test_defaults_are_not_called_the_recipe(make_run: MakeRun, read_page: ReadPage) -> None:
    """The recipe is schedule=progressive, and the default is another one."""
    text = text_of(make_run(weights="random"), read_page)
    assert "Settings that differ from the defaults" in text
    assert "settings, with their defaults" in text
    assert "the recipe" not in text.split("Settings that differ")[1].split("Digests")[0]
