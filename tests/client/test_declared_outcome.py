"""What is predicted, as the sites' tables name it."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.declared_outcome import common_finding


def site(folder: Path, outcome: str, positive: str) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "labels.csv").touch()
    (folder / "site.toml").write_text(
        f"""
[site]
name = "{folder.name}"
[data]
images = "images"
labels = "labels.csv"
patient = "id"
outcome = "{outcome}"
positive = {positive}
negative = ["none", 0]
""",
        encoding="utf-8",
    )
    return folder


@pytest.mark.parametrize(
    ("outcome", "positive", "named"),
    [
        ("etiology", '["viral"]', "viral (etiology)"),
        ("bpd", '["moderate", "severe"]', "moderate or severe (bpd)"),
        ("pneumonia", "[1]", "pneumonia"),
        ("lung_oedema", '["Yes", "true"]', "lung oedema"),
        ("x" * 200, "[1]", ""),
    ],
)
def test_column_and_values_name_it(outcome: str, positive: str, named: str, tmp_path: Path) -> None:
    folders = [site(tmp_path / name, outcome, positive) for name in ("north", "east")]
    assert common_finding(folders) == named


def test_sites_that_differ_or_cannot_be_read_name_nothing(tmp_path: Path) -> None:
    north = site(tmp_path / "north", "etiology", '["viral"]')
    assert common_finding([north, site(tmp_path / "east", "etiology", '["fungal"]')]) == ""
    assert common_finding([north, tmp_path / "missing"]) == ""
