"""The admission report as a person reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from client.cli.admission_table import admit_with_progress, print_report

WriteSite = Callable[..., Path]


def test_counts_and_that_the_site_can_take_part(
    tmp_path: Path, write_site: WriteSite, capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(admit_with_progress(write_site(tmp_path, "north", 12), 32, "pad").report)
    text = capsys.readouterr().out
    assert "16 of 12 patients" in text
    assert "6 patients, 8 images" in text
    assert "north can take part." in text


def test_brackets_of_a_remedy_and_of_a_table_are_text(
    tmp_path: Path, write_site: WriteSite, capsys: pytest.CaptureFixture[str]
) -> None:
    site = write_site(tmp_path, "north", 12)
    table = site / "labels.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("sick", "[/n.a.]"), encoding="utf-8")
    print_report(admit_with_progress(site, 32, "pad").report)
    text = capsys.readouterr().out
    assert "8 x [/n.a.]" in text
    assert "check the positive list in [data] of site.toml" in text
    assert "can take part" not in text
