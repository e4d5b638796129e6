"""Two hospitals whose tables have three classes: runs and a study at a coordinator."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from client.scores import KeptScore, load_scores
from shared.metrics.histogram import bin_of_probability

pytestmark = pytest.mark.slow

OUTCOME = "classes: well | sick | worse"
CLASSES = '[data.classes]\nwell = ["well"]\nsick = ["sick"]\nworse = ["worse"]'


def declare(site: Path) -> None:
    """Three classes, of which north has two patients of the last and east one."""
    toml, table = site / "site.toml", site / "labels.csv"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(
        text.replace('positive = ["sick"]\nnegative = ["well"]', CLASSES), encoding="utf-8"
    )
    worse = {"north": ("P1", "P3"), "east": ("P5",)}[site.name]
    lines = table.read_text(encoding="utf-8").splitlines()
    changed = [
        line.replace(",sick", ",worse") if line.split(",")[0] in worse else line for line in lines
    ]
    table.write_text("\n".join(changed) + "\n", encoding="utf-8")


def test_a_run_of_three_classes(deploy: Callable[..., Any]) -> None:
    deployment = deploy()
    for site in deployment.sites:
        declare(site)
    deployment.serve()
    clients = deployment.clients()
    deployment.wait(lambda: all("Connected to" in one.said for one in clients.values()))
    unsaid = deployment.submit("unsaid", reconnect_wait=0, rounds=1)
    refusal = (
        f"north cannot take part: its site.toml declares the outcome '{OUTCOME}', and the run "
    )
    deployment.wait(lambda: f"{refusal}predicts 'binary'" in unsaid.said, unsaid)
    deployment.command("stop", "unsaid", "--home", deployment.home)
    unsaid.popen.wait(120)
    deployment.finish(deployment.submit(outcome=OUTCOME, rounds=1))
    folder = deployment.run_folder()
    assert [list(one["sites"]) for one in deployment.rounds()] == [["east", "north"]] * 2
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))["config"]
    assert config["outcome"] == OUTCOME
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    # Too few patients of a class for anybody else's eyes.
    assert summary["pooled"]["outcome"] == "classes"
    assert summary["pooled"]["patients"] is None
    assert (folder / "model.safetensors").exists()


GRADES = "ordinal: well | sick | worse"
ARMS = '[[arm]]\nname = "first"\n[[arm]]\nname = "head"\nset = { schedule = "probe" }\n'
PATIENTS = 48


def grade(site: Path, larger: Path, *, ordinal: bool) -> None:
    """As many patients as may be shown of each of three grades, with or without their order."""
    shutil.copytree(larger / "images", site / "images", dirs_exist_ok=True)
    rows = (larger / "labels.csv").read_text(encoding="utf-8").splitlines()
    worse = {f"P{number}" for number in range(3, PATIENTS, 4)}
    changed = [row.replace("sick", "worse") if row.split(",")[0] in worse else row for row in rows]
    (site / "labels.csv").write_text("\n".join(changed) + "\n", encoding="utf-8")
    text = (site / "site.toml").read_text(encoding="utf-8")
    declared = CLASSES.replace("[data", "ordinal = true\n[data") if ordinal else CLASSES
    text = text.replace('positive = ["sick"]\nnegative = ["well"]', declared)
    (site / "site.toml").write_text(text, encoding="utf-8")


def held_out(deployment: Any, arm: str) -> list[KeptScore]:
    """Every patient's scores in the fold that held it out, from the sites' own files."""
    found: list[KeptScore] = []
    for fold in (0, 1):
        summary = deployment.run_folder(f"study-{arm}-r0-f{fold}") / "summary.json"
        run = json.loads(summary.read_text(encoding="utf-8"))["run"]
        for file in Path(os.environ["FEDTHAW_CACHE"]).rglob(f"{run}/*/scores-test.json"):
            found += load_scores(file) or ()
    return found


@pytest.mark.timeout(900)
def test_a_study_of_grades_and_a_site_that_names_no_order_at_first(
    deploy: Callable[..., Any], write_site: Callable[..., Path], tmp_path: Path
) -> None:
    deployment = deploy()
    for seed, site in enumerate(deployment.sites):
        larger = write_site(tmp_path / "larger", site.name, PATIENTS, seed=seed)
        grade(site, larger, ordinal=site.name == "north")
    arms = tmp_path / "arms.toml"
    arms.write_text(ARMS, encoding="utf-8")
    server = deployment.serve()
    deployment.clients()
    given = ("--home", deployment.home, "--arms", arms)
    study = deployment.study(*given, outcome=GRADES, rounds=1)
    refused = (
        f"Site east cannot take part in run study-first-r0-f0: its site.toml declares the outcome "
        f"'{OUTCOME}', and the run predicts '{GRADES}': the classes are the same, but site.toml "
        "does not say that they go from low to high (add `ordinal = true`"
    )
    deployment.wait(lambda: refused in server.said, study)
    toml = deployment.folder / "east" / "site.toml"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(text.replace("[data.classes]", "ordinal = true\n[data.classes]"))
    said = deployment.finish(study, seconds=400)
    assert "5/5: counts and comparisons" in said
    assert "sick or higher" in said
    result = json.loads((deployment.run_folder("study") / "study.json").read_text())
    assert (result["outcome"], result["left_out"]) == (GRADES, [])
    for arm in result["arms"]:
        scores = held_out(deployment, arm["arm"]["name"])
        assert len(scores) == arm["patients"] == 2 * PATIENTS
        labels = np.array([one.label for one in scores])
        bins = bin_of_probability(np.array([one.scores for one in scores]))
        areas = [roc_auc_score(labels > cut, bins[:, cut]) for cut in (0, 1)]
        assert arm["auroc"]["mean"] == pytest.approx(np.mean(areas), abs=0.006)
        shown = [one["auroc"]["over_repeats"]["mean"] for one in arm["contrasts"]]
        assert shown == pytest.approx(areas, abs=0.06)
        assert [one["patients"] for one in arm["classes"]] == [48, 24, 24]
    page = (deployment.run_folder("study") / "report.html").read_text(encoding="utf-8")
    assert "lower from higher grades (well to worse)" in page
