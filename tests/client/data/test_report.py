from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from client.data.admission import admit
from client.settings import SiteSettings

Make = Callable[..., SiteSettings]

TABLE = "patient,file,grade\n"
GOOD = TABLE + "P1,1.png,severe\nP2,2.png,severe\nP3,3.png,none\nP4,4.png,none\n"


def test_json_holds_counts_and_no_names(
    make_site: Make, fill: Callable[..., None], tmp_path: Path
) -> None:
    fill("SECRET-1.png", "2.png", "3.png", "4.png")
    (tmp_path / "images" / "SECRET-5.png").write_bytes(b"garbage")
    table = GOOD.replace("P1,1.png", "SECRET,SECRET-1.png") + "SECRET,SECRET-5.png,severe\n"
    admission = admit(make_site(table), 16, "pad")
    text = json.dumps(admission.report.to_json())
    assert "SECRET" not in text + repr(admission)
    record = json.loads(text)
    assert record["counts"]["positive_patients"] == 2
    assert record["rejected"] == 1
    assert record["rejected_by_reason"] == {"not a DICOM, PNG or JPEG file": 1}
    assert record["problems"] == list(admission.report.problems)
    assert admission.report.rejected[0][0] == "SECRET-5.png"


@pytest.mark.parametrize(("limit", "refused"), [("0.19", True), ("0.2", False)])
def test_max_rejected_is_a_limit_that_may_be_reached(
    make_site: Make, fill: Callable[..., None], tmp_path: Path, limit: str, refused: bool
) -> None:
    fill("1.png", "2.png", "3.png", "4.png")
    (tmp_path / "images" / "5.png").write_bytes(b"garbage")
    (tmp_path / "images" / "unlabelled.png").write_bytes(b"garbage")
    site = make_site(GOOD + "P5,5.png,none\n", more=f"[policy]\nmax-rejected = {limit}")
    admission = admit(site, 16, "pad")
    assert len(admission.report.rejected) == 2
    assert bool(admission.report.problems) == refused
