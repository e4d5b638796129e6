"""The clinical grade beside a study's first arm, against scikit-learn on the files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

Here = Callable[..., tuple[int, str, str]]
TINY = ("backbone=micro", "weights=random", "image-size=32", "threads=1", "probe-rounds=1",
        "rounds=0", "augmentation=none")  # fmt: skip


def test_the_grade_is_compared_in_those_who_have_one(
    graded: list[Path], runs: list[str], here: Here, tmp_path: Path
) -> None:
    arms, out = tmp_path / "arms.toml", tmp_path / "study"
    arms.write_text('[[arm]]\nname = "first"\n')
    settings = [word for one in TINY for word in ("--set", one)]
    code, said, stderr = here(
        "study", *graded, "--arms", arms, "--folds", 2, "--repeats", 2, "--out", out, *settings
    )
    assert code == 0, stderr
    grade = json.loads((out / "study.json").read_text())["grade"]
    patients = {}
    for site in graded:
        with (site / "labels.csv").open() as table:
            for row in csv.DictReader(table):
                if row["grade"]:
                    patients[site.name, row["patient"]] = (
                        int(row["outcome"] == "sick"), float(row["grade"]),
                    )  # fmt: skip
    labels, grades = zip(*patients.values(), strict=True)
    assert sum(grade["patients"]) == len(patients) == 26
    assert grade["auroc"] == pytest.approx(roc_auc_score(labels, grades))
    difference = grade["model_auroc"]["mean"] - grade["auroc"]
    assert grade["difference"]["mean"] == pytest.approx(difference)
    assert grade["difference"]["repeats"] == 2
    assert "DeLong's variance over patients and that between" in (out / "study.md").read_text()
    sentence = f"The clinical grade alone has an AUROC of {grade['auroc']:.3f}"
    for text in (" ".join(said.split()), (out / "study.md").read_text(),
                 (out / "report.html").read_text()):  # fmt: skip
        assert sentence in text


def test_the_grade_gives_no_site_away_that_has_none(
    graded: list[Path], runs: list[str], here: Here, tmp_path: Path, write_site: Callable[..., Path]
) -> None:
    small = write_site(tmp_path / "sites", "c", 8, seed=3, min_cell=5)
    arms, out = tmp_path / "arms.toml", tmp_path / "study"
    arms.write_text('[[arm]]\nname = "first"\n')
    settings = [word for one in TINY for word in ("--set", one)]
    code, _, stderr = here(
        "study", *graded, small, "--arms", arms, "--folds", 2, "--repeats", 1, "--out", out,
        *settings, "--set", "for-others=true",
    )  # fmt: skip
    assert code == 0, stderr
    study = json.loads((out / "study.json").read_text())
    assert sum(study["arms"][0]["patients"]) == 36
    assert study["grade"] is None
