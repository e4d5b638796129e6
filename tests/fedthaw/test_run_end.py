"""How a run's model came about, as `Run.end` has it, beside the run's own files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fedthaw

pytestmark = pytest.mark.usefixtures("undrawn")
Settings = dict[str, Any]


def ledger(run: fedthaw.Run) -> list[dict[str, Any]]:
    lines = (run.folder / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def end_of(run: fedthaw.Run) -> fedthaw.RunEnd:
    assert run.end is not None
    return run.end


def test_the_sites_chose(run: fedthaw.Run) -> None:
    """The default; against summary.json."""
    document = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))["end"]
    end = end_of(run)
    assert (end.end, end.share) == ("guarded", document["share"])
    assert list(end.averaged) == document["averaged_rounds"]
    assert (end.rounds, end.most_rounds, end.cut_after) == (3, 3, None)
    assert end.words.startswith("The final model is ")


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"end": "last"}, ("last", (3, 3))),
        ({"end": "average", "average-share": 1.0}, ("average", (2, 3))),
        ({"end": "average", "average-share": 0.01}, ("last", (3, 3))),
        ({"schedule": "probe", "average-share": 1.0}, ("average", (2, 3))),
    ],
)
def test_what_was_taken_where_nothing_was_chosen(
    changed: Settings, wanted: object, sites: list[Path], settings: Settings, tmp_path: Path
) -> None:
    run = fedthaw.simulate(sites, out=tmp_path / "run", settings=settings | changed, progress=False)
    end = end_of(run)
    assert (end.end, end.averaged) == wanted
    assert end.share is None


def test_a_run_that_was_cut_short(
    sites: list[Path], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rates so small that nothing can gain, by a network taken to have learned something."""
    monkeypatch.setattr("server.training.outcome.pooled_chance_loss", lambda counts: 1.0)
    still = settings | {
        "schedule": "adaptive", "patience": 2, "rounds": 7, "thaw-at": "layer4=0",
        "lr-head": 1e-9, "rates": "layer4=1e-9",
    }  # fmt: skip
    run = fedthaw.simulate(sites, out=tmp_path / "run", settings=still, progress=False)
    lengths = [one["plan"]["length"] for one in ledger(run)[1:]]
    cut = next(place for place, length in enumerate(lengths) if length < 7)
    end = end_of(run)
    assert end.cut_after == 1 + cut == 5
    assert (end.rounds, end.most_rounds) == (7, 8)
    assert end.averaged[0] > end.cut_after


def test_an_unfinished_run_has_no_end(run: fedthaw.Run, tmp_path: Path) -> None:
    for name in ("config.json", "ledger.jsonl"):
        (tmp_path / name).write_bytes((run.folder / name).read_bytes())
    assert fedthaw.open_run(tmp_path).end is None
