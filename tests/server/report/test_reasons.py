"""Reasons on the page name nothing of a simulated site's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from server.report.page import run_page
from server.report.read import LEFT_OUT, read_report, shown_reasons
from shared.settings.config import RunConfig

pytestmark = pytest.mark.usefixtures("undrawn")
SIMULATED = RunConfig(sites="/data/study one/north:south")


@pytest.mark.parametrize(
    "reason",
    [
        "/data/study one/north/labels.csv has no column 'bpd'",
        "C:\\hospitals\\north\\labels.csv is not a readable CSV table",
        "Site x has several files for the image 'P0012.png' of its table",
        'the file "P0012.dcm" cannot be read',
    ],
)
def test_what_speaks_of_files_is_left_out(reason: str) -> None:
    assert shown_reasons({"north": reason}, SIMULATED) == {"north": LEFT_OUT}
    # A hospital's own sentences hold none: what travels was written to travel.
    assert shown_reasons({"north": reason}, RunConfig()) == {"north": reason}


@pytest.mark.parametrize(
    "reason",
    ["no reply within 60 s", "its frozen stages differ from the base", "the site's memory is full"],
)
def test_other_reasons_are_told(reason: str) -> None:
    assert shown_reasons({"b": reason, "a": reason}, SIMULATED) == {"a": reason, "b": reason}
    assert list(shown_reasons({"b": reason, "a": reason}, SIMULATED)) == ["a", "b"]


def test_no_folder_stands_on_the_page(make_run: Callable[..., Path]) -> None:
    reason = "/srv/private/north/site.toml is missing; every site needs one, see the README"
    page = run_page(read_report(make_run(reason=reason, sites="/srv/private/north"), 5))
    assert "/srv/private" not in page
    assert page.count(LEFT_OUT.replace("'", "&#x27;")) == 2
