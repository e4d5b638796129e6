"""Runs of several classes, ordered classes and labels as objects, beside their own files."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fedthaw
from shared.metrics.classes.results import ClassMetrics, LabelMetrics

Settings = dict[str, Any]
OF_A_FINDING = 'outcome = "outcome"\npositive = ["sick"]\nnegative = ["well"]\n'
CLASSES = '[data.classes]\nwell = ["well"]\nsick = ["sick"]\n'
DECLARED = {
    "classes": 'outcome = "outcome"\n' + CLASSES,
    "ordinal": 'outcome = "outcome"\nordinal = true\n' + CLASSES,
    "labels": '[data.labels]\nill = { column = "outcome", positive = ["sick"], '
    'negative = ["well"] }\n',
}  # fmt: skip
KINDS = {"classes": ClassMetrics, "ordinal": ClassMetrics, "labels": LabelMetrics}


@pytest.fixture(scope="module", params=list(DECLARED))
def kind(request: pytest.FixtureRequest) -> str:
    """What the sites declare."""
    return str(request.param)


@pytest.fixture(scope="module")
def run(
    kind: str, write_site: Callable[..., Path], settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> fedthaw.Run:  # fmt: skip
    """A run of two such sites, with a test fold and without a page."""
    folder = tmp_path_factory.mktemp(kind)
    sites = [write_site(folder, name, 14, seed=n) for n, name in enumerate(("north", "east"))]
    for site in sites:
        text = (site / "site.toml").read_text(encoding="utf-8")
        text = text.replace(OF_A_FINDING, DECLARED[kind])
        if kind == "labels":
            text = text.replace("labels = ", "table = ")
        (site / "site.toml").write_text(text, encoding="utf-8")
    own = settings | {"folds": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.app.write_report_at_end", lambda run: None)
        return fedthaw.simulate(sites, out=folder / "run", settings=own, progress=False)


def test_metrics_are_those_of_the_files(run: fedthaw.Run, kind: str) -> None:
    summary = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))

    def as_written(cohort: fedthaw.Cohort) -> tuple[object, object]:
        sites = {name: {"outcome": kind, **own.to_json()} for name, own in cohort.sites.items()}
        return {"outcome": kind, **cohort.pooled.to_json()}, sites

    assert run.validation is not None
    assert run.test is not None
    assert isinstance(run.validation.pooled, KINDS[kind])
    assert as_written(run.validation) == (summary["pooled"], summary["site"])
    assert as_written(run.test) == (summary["test"]["pooled"], summary["test"]["site"])
    lines = (run.folder / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    for one, line in zip(run.rounds, map(json.loads, lines), strict=True):
        assert as_written(one.validation) == (
            line["validation"], {name: site["metrics"] for name, site in line["sites"].items()},
        )  # fmt: skip
    assert run.calibration is None


def test_each_class_cut_or_label_can_be_asked_for(run: fedthaw.Run, kind: str) -> None:
    assert run.validation is not None
    pooled = run.validation.pooled
    if isinstance(pooled, fedthaw.LabelMetrics):
        ill = pooled.labels["ill"]
        assert ill.auroc == pooled.auroc  # of the only label
        assert (ill.positives or 0) + (ill.negatives or 0) > 0
        return
    assert isinstance(pooled, fedthaw.ClassMetrics)
    support = {name: one.support for name, one in pooled.classes.items()}
    assert list(support) == ["well", "sick"]
    assert sum(one or 0 for one in support.values()) == pooled.patients
    assert list(pooled.cuts) == (["sick"] if kind == "ordinal" else [])
    assert pooled.confusion is not None
    assert [sum(row) for row in pooled.confusion] == list(support.values())


def test_a_row_a_round(run: fedthaw.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Frame:
        def __init__(self, rows: list[dict[str, object]]) -> None:
            self.rows = rows

        def set_index(self, name: str) -> list[dict[str, object]]:
            return self.rows

    pandas = type(sys)("pandas")
    pandas.DataFrame = Frame  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    rows = run.to_dataframe()
    for row, one in zip(rows, run.rounds, strict=True):
        pooled = one.validation.pooled
        assert row["auroc"] == pooled.auroc
        assert (row["auroc_low"], row["auroc_high"]) == (pooled.auroc_ci95 or (None, None))
        assert row["balanced_accuracy"] == pooled.balanced_accuracy
        assert all(value is None or isinstance(value, str | int | float) for value in row.values())


def test_a_line_of_the_ledger_that_is_damaged_is_named(run: fedthaw.Run, tmp_path: Path) -> None:
    damaged = shutil.copytree(run.folder, tmp_path / "run")
    ledger = damaged / "ledger.jsonl"
    first, *rest = ledger.read_text(encoding="utf-8").splitlines()
    line = json.loads(first)
    line["validation"]["auroc"] = "high"
    ledger.write_text("\n".join([json.dumps(line), *rest]) + "\n", encoding="utf-8")
    with pytest.raises(fedthaw.RunError, match=r"ledger\.jsonl cannot be read as a run's ledger"):
        fedthaw.open_run(damaged)
