"""evaluation.json: what is written is read back, and what is no such file is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.results.shown import Shown
from server.run.evaluation_file import (
    CohortCounts,
    CovariateCounts,
    EvaluationFile,
    read_evaluation,
    write_evaluation,
)
from shared.errors import RunError
from shared.metrics.histogram import MAX_COUNT, SCORE_BINS, Histogram

DOCUMENT: dict[str, Any] = {
    "format": 1,
    "cohorts": {
        "validation": {
            "pooled": {"positives": {"300": 7, "513": 1}, "negatives": {"0": 2, "300": 9}},
            "sites": {"east": {"positives": {"300": 7}, "negatives": {"0": 2}}, "north": None},
        },
        "test": {"pooled": None, "sites": {}},
    },
    "covariate": {
        "validation": {
            "name": None, "levels": [1, 2, 3, 4],
            "positives": [0, 1, 2, 5], "negatives": [6, 3, 2, 0],
        }
    },
}  # fmt: skip

SPARSE = st.dictionaries(
    st.integers(0, SCORE_BINS - 1).map(str), st.integers(1, MAX_COUNT), max_size=5
)
HISTOGRAM = st.none() | st.fixed_dictionaries({"positives": SPARSE, "negatives": SPARSE})
COHORT = st.fixed_dictionaries(
    {"pooled": HISTOGRAM, "sites": st.dictionaries(st.text(), HISTOGRAM, max_size=3)}
)


def test_the_document_says_what_it_counts(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text(json.dumps(DOCUMENT), encoding="utf-8")
    read = read_evaluation(tmp_path)
    assert read is not None
    pooled = read.cohorts["validation"].pooled
    assert pooled is not None
    positives, negatives = np.zeros(514, np.int64), np.zeros(514, np.int64)
    positives[300], positives[513], negatives[0], negatives[300] = 7, 1, 2, 9
    assert pooled == Histogram(positives, negatives)
    assert read.cohorts["validation"].sites["north"] is None
    assert read.cohorts["test"] == CohortCounts(None)
    grades = Histogram(np.array([0, 1, 2, 5]), np.array([6, 3, 2, 0]))
    assert read.covariate == {"validation": CovariateCounts(None, (1, 2, 3, 4), grades)}
    assert read.to_json() == DOCUMENT


@given(st.dictionaries(st.sampled_from(["validation", "test"]), COHORT))
@settings(deadline=None)
def test_reading_undoes_writing(cohorts: dict[str, Any]) -> None:
    document = {"format": 1, "cohorts": cohorts}
    assert EvaluationFile.from_json(document).to_json() == document


def test_a_file_comes_back(tmp_path: Path) -> None:
    evaluation = EvaluationFile.from_json(DOCUMENT)
    write_evaluation(tmp_path, Shown(evaluation))
    assert read_evaluation(tmp_path) == evaluation


def test_an_older_run_has_none(tmp_path: Path) -> None:
    assert read_evaluation(tmp_path) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 2),
        (("cohorts",), []),
        (("cohorts", "validation", "pooled", "positives"), {"514": 1}),
        (("cohorts", "validation", "pooled", "positives"), {"-1": 1}),
        (("cohorts", "validation", "pooled", "positives"), {"x": 1}),
        (("cohorts", "validation", "pooled", "positives"), {"3": 1.5}),
        (("cohorts", "validation", "pooled", "positives"), {"3": True}),
        (("cohorts", "validation", "pooled", "positives"), {"3": -1}),
        (("cohorts", "validation", "pooled", "positives"), {"3": 2**70}),
        (("cohorts", "validation", "sites"), None),
        (("covariate", "validation", "levels"), [1, 2, 3]),
    ],
    ids=str,
)
def test_what_is_no_evaluation_is_refused(
    path: tuple[str, ...], value: object, tmp_path: Path
) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    (tmp_path / "evaluation.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(RunError, match=r"evaluation.json cannot be read .* move it away"):
        read_evaluation(tmp_path)


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text('{"format": 1, "coh', encoding="utf-8")
    with pytest.raises(RunError, match="cannot be read"):
        read_evaluation(tmp_path)


def test_a_disk_that_is_full(tmp_path: Path, fill_disk: Callable[[], None]) -> None:
    fill_disk()
    with pytest.raises(RunError, match=r"evaluation cannot be written .*--resume"):
        write_evaluation(tmp_path, Shown(EvaluationFile.from_json(DOCUMENT)))
    assert os.listdir(tmp_path) == []
