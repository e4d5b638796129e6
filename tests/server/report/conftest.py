"""Runs on disk, written by the run's own code, and pages that are read back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from server.report.study.data import StudyReport
from server.results.shown import Shown
from server.results.study import StudyResult
from server.run.evaluation_file import CohortCounts, EvaluationFile, write_evaluation
from server.run.folder import RunFolder, write_config
from server.run.ledger import RoundRecord, SiteRound, append_round
from server.run.summary import FinalEvaluation, build_summary, write_summary
from shared.metrics.histogram import Histogram
from shared.metrics.summary import summarise, suppressed
from shared.protocol.plan import plan_to_values
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round


@dataclass
class Node:
    """An element with its attributes, children and text, in order."""

    tag: str
    attributes: dict[str, str]
    children: list[Node] = field(default_factory=list)
    pieces: list[str | Node] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(piece if isinstance(piece, str) else piece.text for piece in self.pieces)

    def all(self, *tags: str) -> list[Node]:
        return [
            node
            for child in self.children
            for node in ([child] if not tags or child.tag in tags else []) + child.all(*tags)
        ]


class Walker(HTMLParser):
    """Builds the tree; AssertionError where an element is closed that is not the open one."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("root", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} repeats an attribute"
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        self.open[-1].pieces.append(node)
        if tag != "meta":
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag != "meta":
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"{tag} closes {self.open[-1].tag}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].pieces.append(data)


@pytest.fixture(scope="session")
def read_page() -> Callable[[str], Node]:
    """The tree of a page."""

    def read(page: str) -> Node:
        walker = Walker()
        walker.feed(page)
        walker.close()
        assert walker.open == [walker.root], "elements are left open"
        return walker.root

    return read


@pytest.fixture(scope="session")
def tables() -> Callable[[Node], dict[str, list[list[str]]]]:
    """Tables by caption: rows of cells, the head first."""

    def read(root: Node) -> dict[str, list[list[str]]]:
        return {
            table.all("caption")[0].text: [
                [cell.text for cell in row.all("th", "td")] for row in table.all("tr")
            ]
            for table in root.all("table")
        }

    return read


def counts_of(seed: int, positives: int, negatives: int) -> Histogram:
    """Scores of a model that is right more often than not."""
    rng = np.random.default_rng(seed)
    logits = np.concatenate([rng.normal(1.2, 1.5, positives), rng.normal(-1.2, 1.5, negatives)])
    return Histogram.from_logits(logits, np.repeat([1, 0], [positives, negatives]))


COUNTS = {
    "east": counts_of(1, 31, 37),
    "north": counts_of(2, 23, 29),
    "south": counts_of(3, 3, 19),
    "west": counts_of(4, 4, 17),
}
"""South and west are below the limit of five."""
HIDDEN = frozenset({"south", "west"})
MakeRun = Callable[..., Path]


@pytest.fixture(scope="session")
def site_counts() -> Mapping[str, Histogram]:
    """The sites' score counts that a run is made of where nothing else is asked for."""
    return COUNTS


@pytest.fixture
def make_run(tmp_path: Path, make_run_in: MakeRun) -> MakeRun:
    """As `make_run_in`, in the test's own folder."""
    return partial(make_run_in, tmp_path)


@pytest.fixture(scope="session")
def make_run_in() -> MakeRun:
    """A run's folder; sites in `hidden` suppress their own values."""

    def make(
        parent: Path,
        counts: Mapping[str, Histogram] = COUNTS,
        hidden: frozenset[str] = HIDDEN,
        *,
        rounds: int = 4,
        finished: bool = True,
        scores: bool = True,
        test: bool = False,
        prefix: str = "",
        covariates: Mapping[str, Mapping[str, Any]] | None = None,
        reason: str = "no reply within 60 s",
        name: str = "r1",
        **changes: Any,
    ) -> Path:
        counts = {f"{prefix}{site}": own for site, own in counts.items()}
        hidden = frozenset(f"{prefix}{site}" for site in hidden)
        small: dict[str, Any] = {"backbone": "micro", "probe_rounds": 1, "rounds": 3}
        config = dataclasses.replace(RunConfig(), **small, **changes)
        folder = RunFolder(parent / "run", name, config)
        write_config(folder, "sha256:" + "ab" * 32, "/srv/secret/weights.pt")
        records = [
            _record(config, number, counts, hidden, reason) for number in range(1, rounds + 1)
        ]
        for record in records:
            append_round(folder.ledger, Shown(record))
        if finished:
            folder.model.write_bytes(b"weights")
            final = FinalEvaluation(
                pooled=summarise(_sum(counts)).to_json(),
                sites={n: _shown(n, own, hidden) for n, own in counts.items()},
                missing={"absent": reason},
                bytes_down=7, bytes_up=3, bytes_full_exchange=500, seconds=0.5, evaluate_seconds=1,
                covariates=covariates or {},
            )  # fmt: skip
            write_summary(folder.summary, Shown(build_summary(name, "sha256:ab", records, final)))
        if scores:
            cohorts = {"validation": _cohort(counts, hidden)}
            if test:
                cohorts["test"] = _cohort({site: own + own for site, own in counts.items()}, hidden)
            write_evaluation(folder.path, Shown(EvaluationFile(cohorts)))
        return folder.path

    return make


def _sum(counts: Mapping[str, Histogram]) -> Histogram:
    return sum(counts.values(), start=Histogram.empty())


def _cohort(counts: Mapping[str, Histogram], hidden: frozenset[str]) -> CohortCounts:
    return CohortCounts(
        _sum(counts), {name: None if name in hidden else own for name, own in counts.items()}
    )


def _shown(name: str, own: Histogram, hidden: frozenset[str]) -> dict[str, Any]:
    return (suppressed() if name in hidden else summarise(own)).to_json()


def _record(
    config: RunConfig,
    number: int,
    counts: Mapping[str, Histogram],
    hidden: frozenset[str],
    reason: str,
) -> RoundRecord:
    sites = {
        name: SiteRound(
            images=7000 + 100 * index + 11,
            patients=6000 + 100 * index + 13,
            steps=4,
            loss=0.5 + index / 1000,
            train_seconds=1.5,
            evaluate_seconds=0.25,
            peak_memory_bytes=2_000_000,
            continued_from=number - 1,
            metrics=_shown(name, counts[name], hidden),
        )
        for index, name in enumerate(counts)
    }
    return RoundRecord(
        round=number,
        plan=plan_to_values(plan_round(config, number)),
        sites=sites,
        refused={"south-2": reason} if number % 2 else {},
        attempts=1,
        loss=0.7 / number,
        validation=summarise(_sum(counts)).to_json(),
        bytes_down=1_000_000 * number,
        bytes_up=500_000 * number,
        bytes_full_exchange=9_000_000,
        seconds=3.25,
        wait_seconds=2.5,
        absent=("late",) if number == 1 else (),
    )


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages with empty plots, for tests that read their words and tables."""

    def save(figure: Figure, buffer: Any, **_: Any) -> None:
        buffer.write('<svg viewBox="0 0 1 1"></svg>')

    monkeypatch.setattr(Figure, "savefig", save)


@pytest.fixture(scope="session")
def summary_of() -> Callable[[Path], dict[str, Any]]:
    """The run's summary.json."""

    def read(run: Path) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((run / "summary.json").read_text(encoding="utf-8"))
        return summary

    return read


@pytest.fixture(scope="session")
def make_study_report(make_study_result: Callable[..., StudyResult]) -> Callable[..., StudyReport]:
    """A study's page before it is one; what files say may be replaced by `hostile`."""

    def make(hostile: str = "", **arguments: Any) -> StudyReport:
        result = make_study_result(**arguments)
        if hostile:
            named = dataclasses.replace(result.arms[0].arm, name=hostile)
            first = dataclasses.replace(result.arms[0], arm=named)
            result = dataclasses.replace(
                result, arms=(first, *result.arms[1:]), sites=(hostile, "b"), not_shown=(hostile,)
            )
        return StudyReport(
            name=hostile or "study",
            result=result,
            settings={"image-size": 128, "weights": hostile or "xrv"},
            base_digest=hostile or "sha256:ab",
            versions={"fedthaw": hostile or "0.1"},
            result_digest="ab" * 32,
        )

    return make
