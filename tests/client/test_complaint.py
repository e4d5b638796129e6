"""What the owner of a site reads of its problems, and what of them may leave it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from client.app import complain, no_complaint
from client.settings import load_site
from client.workspace import open_workspace, training_samples
from shared.errors import SiteError
from shared.settings.config import RunConfig


def test_a_problem_is_said_once_and_again_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="fedthaw.site")
    for _ in range(3):
        complain("a", "no GPU")
    complain("b", "no GPU")
    complain("a", "The cache is full.")
    no_complaint("a")
    no_complaint("a")
    assert caplog.messages == [
        "This site cannot take part: no GPU. It is asked again later.",
        "This site cannot take part: no GPU. It is asked again later.",
        "This site cannot take part: The cache is full. It is asked again later.",
        "What kept this site from taking part is fixed; it takes part again.",
    ]
    no_complaint("b")


SPOILT = {
    "too few patients of one class": lambda text: text.replace("well", "sick"),
    "none of its images has a usable outcome": lambda text: text.replace("well", "x").replace(
        "sick", "y"
    ),
    "more of its images are set aside": lambda text: text,
}


@pytest.mark.parametrize("kind", SPOILT)
def test_the_kind_of_a_problem_may_leave_and_no_number(
    tmp_path: Path, write_site: Callable[..., Path], micro_config: Callable[..., RunConfig],
    kind: str,
) -> None:  # fmt: skip
    site = write_site(tmp_path, "north", 8)
    table = site / "labels.csv"
    table.write_text(SPOILT[kind](table.read_text(encoding="utf-8")), encoding="utf-8")
    if kind.startswith("more"):
        for image in list((site / "images").iterdir())[:6]:
            image.write_bytes(b"\x89PNG\r\n\x1a\n")
    config = micro_config()
    with pytest.raises(SiteError) as caught:
        training_samples(open_workspace({"site": str(site)}, config), config)
    assert kind in caught.value.shareable
    assert not any(sign.isdigit() for sign in caught.value.shareable)
    assert load_site(site).name not in caught.value.shareable
    assert "north" in str(caught.value)
