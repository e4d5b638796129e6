"""summary.json: its keys are stable, its sums are right."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.results.ending import Ending
from server.results.shown import Shown
from server.run.ledger import RoundRecord
from server.run.summary import FinalEvaluation, build_summary, write_summary
from shared.errors import RunError
from shared.metrics.histogram import Histogram
from shared.metrics.summary import summarise, suppressed

MakeRecord = Callable[..., RoundRecord]

METRICS = [
    "auroc", "auroc_bounds", "auroc_ci95", "auprc", "balanced_accuracy", "f1", "sensitivity",
    "specificity", "threshold", "brier", "ece", "positives", "negatives",
]  # fmt: skip
KEYS: dict[str, list[str]] = {
    "run": [],
    "rounds": [],
    "sites": [],
    "base": [],
    "pooled": METRICS,
    "site": ["east", "north"],
    "missing": ["south"],
    "bytes": ["down", "up", "full_exchange"],
    "seconds": ["total", "train", "evaluate", "wait"],
    "peak_memory_bytes": [],
}


@pytest.fixture
def final() -> FinalEvaluation:
    metrics = summarise(Histogram.from_logits([-1, 1, 2], [0, 0, 1])).to_json()
    return FinalEvaluation(
        pooled=metrics,
        sites={"north": suppressed().to_json(), "east": metrics},
        missing={"south": "no reply in time"},
        bytes_down=7,
        bytes_up=3,
        bytes_full_exchange=500,
        seconds=0.5,
        evaluate_seconds=0.25,
    )


@pytest.fixture
def summary(make_record: MakeRecord, final: FinalEvaluation) -> dict[str, Any]:
    return build_summary("r1", "sha256:ab", [make_record(n) for n in (1, 2, 3)], final)


def test_the_keys_are_these(summary: dict[str, Any]) -> None:
    inner = {k: list(v) if isinstance(v, dict) else [] for k, v in summary.items()}
    assert inner == KEYS
    assert list(summary["site"]["north"]) == list(summary["site"]["east"]) == METRICS


def test_the_sums(summary: dict[str, Any]) -> None:
    assert summary["rounds"] == 3
    assert summary["sites"] == ["east", "north"]
    assert summary["bytes"] == {"down": 607, "up": 63, "full_exchange": 3500}
    assert summary["seconds"] == {
        "total": 3 * 3.0 + 0.5,
        "train": 3 * 2 * 1.5,
        "evaluate": 3 * 2 * 0.25 + 0.25,
        "wait": 3 * 2.0 + 0.5,
    }
    assert summary["peak_memory_bytes"] == 30_000
    assert set(summary["site"]["north"].values()) == {None}


def test_what_finding_the_end_took_is_in_the_sums(
    make_record: MakeRecord, final: FinalEvaluation, summary: dict[str, Any]
) -> None:
    ending = Ending((2, 3), None, 100, 10, 2.0, 1.0)
    found = build_summary(
        "r1", "sha256:ab", [make_record(n) for n in (1, 2, 3)], replace(final, ending=ending)
    )
    assert found["end"] == {"averaged_rounds": [2, 3]}
    assert found["bytes"] == {"down": 707, "up": 73, "full_exchange": 3500}
    for key, more in {"total": 2.0, "train": 0, "evaluate": 1.0, "wait": 2.0}.items():
        assert found["seconds"][key] == summary["seconds"][key] + more
    assert found.keys() - summary.keys() == {"end"}


def test_a_run_without_rounds(final: FinalEvaluation) -> None:
    summary = build_summary("r1", "sha256:ab", [], final)
    assert (summary["rounds"], summary["peak_memory_bytes"]) == (0, 0)


def test_it_is_json(summary: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_summary(path, Shown(summary))
    assert json.loads(path.read_text(encoding="utf-8")) == summary


def test_a_full_disk(
    summary: dict[str, Any], tmp_path: Path, fill_disk: Callable[[], None]
) -> None:
    fill_disk()
    with pytest.raises(RunError, match=r"summary cannot be written .*No space left.*--resume"):
        write_summary(tmp_path / "summary.json", Shown(summary))
    assert os.listdir(tmp_path) == []
