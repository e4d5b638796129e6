"""What makes a covariate a grade is the site's whole cohort, never the few that are counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from client.handlers.compare import compare_on_site, count_on_site
from client.workspace import Workspace
from shared.errors import ProtocolError
from shared.metrics.grades import MOST_LEVELS, GradeCounts
from shared.protocol.compare import CompareRequest, CountRequest
from shared.run.events import Event, SiteNote, listening
from shared.settings.config import RunConfig

OpenSite = Callable[..., tuple[Workspace, RunConfig]]
WriteSite = Callable[..., Path]


def add_covariate(folder: Path, value: Callable[[int], int]) -> None:
    """A further column, by the patient's number."""
    header, *rows = (folder / "labels.csv").read_text(encoding="utf-8").splitlines()
    lines = [f"{row},{value(int(row.partition(',')[0][1:]))}" for row in rows]
    text = "\n".join([f"{header},weight", *lines, ""])
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    toml = (folder / "site.toml").read_text(encoding="utf-8")
    toml = toml.replace("[compute]", 'covariate = "weight"\n[compute]')
    (folder / "site.toml").write_text(toml, encoding="utf-8")


@pytest.mark.parametrize("patients", [60, 18])  # at all more than 20 values, and fewer
def test_a_measurement_of_few_validation_patients_does_not_leave(
    tmp_path: Path, write_site: WriteSite, open_site: OpenSite, requests: SimpleNamespace,
    patients: int,
) -> None:  # fmt: skip
    add_covariate(write_site(tmp_path, "north", patients), lambda number: 600 + 7 * number)
    heard: list[Event] = []
    with listening(heard.append):
        workspace, config = open_site(folds=3, probe_rounds=1, rounds=0)
    notes = [event.text for event in heard if isinstance(event, SiteNote)]
    assert any(text.startswith(f"{patients} value(s) of the covariate") for text in notes)
    for scope in ("validation", "test"):
        reply = requests.evaluate(workspace, config, scope, after=1)
        counted = reply.histogram.total_positives + reply.histogram.total_negatives
        assert 0 < counted <= MOST_LEVELS
        assert reply.graded is None
        assert "grade" not in " ".join(reply.to_content()["metrics"])
    assert count_on_site(workspace, CountRequest("run-1", "test", ("run-1",))).graded is None
    weights = GradeCounts((600.0, 607.0), (1, 1), (1, 1))
    asked = CompareRequest("run-1", "test", (("run-1",),), (), (reply.histogram,), weights)
    with pytest.raises(ProtocolError, match="no clinical grade"):
        compare_on_site(workspace, asked)


def test_a_grade_is_counted_as_before(
    tmp_path: Path, write_site: WriteSite, open_site: OpenSite, requests: SimpleNamespace
) -> None:
    add_covariate(write_site(tmp_path, "north", 30), lambda number: 1 + number % 4)
    workspace, config = open_site(folds=3, probe_rounds=1, rounds=0)
    reply = requests.evaluate(workspace, config, "test", after=1)
    assert set(reply.graded.grades.levels) <= {1.0, 2.0, 3.0, 4.0}
    assert reply.graded.model == reply.histogram
    assert (
        count_on_site(workspace, CountRequest("run-1", "test", ("run-1",))).graded == reply.graded
    )
