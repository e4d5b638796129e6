"""`fedthaw site log` counts the patients of every kind of reply, as they were sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, MetricRecord, RecordDict

from client.node.contents import plain
from client.node.home import site_home
from shared.audit.log import append
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.labels import MISSING, LabelCounts
from shared.metrics.grades import GradeCounts
from shared.metrics.histogram import Histogram
from shared.metrics.paired import ClassSums, PairedSums
from shared.protocol.candidates import CandidatesReply
from shared.protocol.compare import CompareReply
from shared.protocol.counts import counts_to_values
from shared.protocol.graded import Graded, graded_to_values
from shared.protocol.histogram import histogram_to_values

Here = Callable[..., tuple[int, str, str]]
LABELS = np.array([1, 0, 1, 1, 0])
SCORED = Histogram.from_logits(np.array([0.5, -0.5, 2.0, 1.0, 0.1]), LABELS)
OTHERWISE = Histogram.from_logits(np.array([-0.5, 1.5, 2.5, 0.0, 0.1]), LABELS)
BINS = np.array([[3, 9], [8, 4], [7, 7]])
CLASSES = ClassCounts.from_bins(BINS, np.array([0, 1, 1]), np.array([0, 1, 0]), 2)
LABELLED = LabelCounts.from_bins(BINS, np.array([[1, 0], [1, 1], [0, MISSING]]))
GRADED = Graded(GradeCounts((1.0, 2.0), (1, 2), (2, 0)), SCORED)


@pytest.fixture
def site(tmp_path: Path, here: Here, write_site: Callable[..., Path]) -> Path:
    folder = write_site(tmp_path, "north", 2)
    assert here("site", "init", folder)[0] == 0
    return folder


def written(content: RecordDict) -> dict[str, Any]:
    """The records as the log has them."""
    records = content.values()
    assert all(isinstance(one, ConfigRecord | MetricRecord) for one in records)
    return {name: plain(dict(record)) for name, record in content.items()}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(
            CandidatesReply("north", (SCORED, OTHERWISE, SCORED), False, 0.5).to_content(),
            "histogram of 3 positive and 2 negative patients, under 3 candidates",
            id="candidates",
        ),
        pytest.param(
            CompareReply(
                "north", PairedSums.of_classes([ClassSums(3), ClassSums(2)], (30, 20), 1)
            ).to_content(),
            "sums over 3 positive and 2 negative patients",
            id="comparison",
        ),
        pytest.param(
            RecordDict(
                {
                    "metrics": MetricRecord(
                        {**histogram_to_values(SCORED), **graded_to_values(GRADED)}
                    )
                }
            ),
            "histogram of 3 positive and 2 negative patients, and by clinical grade",
            id="clinical grade",
        ),
        pytest.param(
            RecordDict({"metrics": MetricRecord({**counts_to_values(CLASSES)})}),
            "counts of 3 patients by class",
            id="classes",
        ),
        pytest.param(
            RecordDict({"metrics": MetricRecord({**counts_to_values(LABELLED)})}),
            "histogram of 3 positive and 2 negative values of labels",
            id="labels",
        ),
    ],
)
def test_the_log_counts_the_patients_of_each_reply(
    here: Here, site: Path, content: RecordDict, expected: str
) -> None:
    entry = {"to": "hub:1", "type": "evaluate", "round": "final", "bytes": 9}
    append(site_home(site).audit, entry | {"content": written(content)})
    code, out, _ = here("site", "log", site)
    assert code == 0
    # A long cell goes on in the lines below, at the right.
    assert expected.replace(" ", "") in "".join(out.split())


def test_a_candidate_whose_counts_are_none_is_a_damaged_line(here: Here, site: Path) -> None:
    entry = {"to": "hub:1", "type": "evaluate", "round": "candidates", "bytes": 9}
    damaged = {"content": {"metrics": {"0-positives": ["x"], "0-negatives": [1]}}}
    append(site_home(site).audit, entry | damaged)
    code, _, err = here("site", "log", site)
    assert code == 0
    assert "1 lines of the log are damaged" in err
