"""Other hospitals that would have left the very same files, byte for byte.

A world says which patients each site has. Each is put through the run's own records, rules and
writers. Worlds whose files agree cannot be told apart, by whatever solver.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from flwr.app import ArrayRecord

from server.aggregation.intake import Verdict
from server.disclosure.register import FILE, Register
from server.disclosure.run import Disclosure
from server.evaluation.candidates import shown_candidates
from server.results.ending import Choice, Ending
from server.results.shown import Audience, audience_of
from server.run.calibration import write_calibration
from server.run.evaluation_file import write_evaluation
from server.run.ledger import append_round
from server.run.summary import FinalEvaluation, build_summary, write_summary
from server.terminal.progress import describe
from server.tracking.scalars import final_scalars, scalars
from server.training.outcome import Collected, record_of
from shared.limits import MIN_CELL
from shared.metrics.histogram import Histogram, summed
from shared.metrics.log_loss import log_loss
from shared.protocol.candidates import CandidatesReply
from shared.protocol.train import TrainReply
from shared.run.events import Event, RoundFinished, listening
from shared.settings.config import RunConfig
from shared.settings.ending import SHARES
from shared.settings.schedule import plan_round


@dataclass(frozen=True)
class Site:
    """A site's validation patients by their score bins, and how many train there."""

    positives: tuple[int, ...]
    negatives: tuple[int, ...]
    trains: int

    @property
    def histogram(self) -> Histogram:
        labels = [1] * len(self.positives) + [0] * len(self.negatives)
        return Histogram.from_bins([*self.positives, *self.negatives], labels)

    @property
    def is_small(self) -> bool:
        return min(len(self.positives), len(self.negatives)) < MIN_CELL


World = Mapping[str, Site]
ROUNDS = 2


def files_of(folder: Path, world: World, runs: Sequence[Sequence[str]]) -> str:
    """All that these runs, each of so many of the sites, write and say to others."""
    said: list[str] = []

    def hear(event: Event) -> None:
        said.append(describe(event) or "")

    with listening(hear):
        for number, names in enumerate(runs):
            _run(folder / f"run{number}", {name: world[name] for name in names})
    written = sorted(path for path in folder.glob("run*/*") if path.is_file())
    return "\n".join([*(path.read_text(encoding="utf-8") for path in written), *said])


def _run(folder: Path, world: World) -> None:
    folder.mkdir(parents=True)
    rules = Disclosure(run=folder.name, register=Register(folder.parent / FILE))
    federation = cast(
        Any,
        SimpleNamespace(
            disclosure=rules,
            data_of=lambda names: {n: f"{n}'s data" for n in names},
            full_model_bytes=10_000,
        ),
    )
    records, shown = [], []
    for number in range(1, ROUNDS + 1):
        replies = {name: _reply(name, site, number) for name, site in world.items()}
        up = sum(1000 + site.trains // 10 for site in world.values())
        verdict = Verdict(weights={name: reply.images for name, reply in replies.items()})
        asked = Collected(replies, verdict=verdict, bytes_down=5000, bytes_up=up, messages=4)
        plan = plan_round(RunConfig(), number)
        finished = record_of(federation, plan, [asked], 1.1)
        append_round(folder / "ledger.jsonl", finished.shown)
        records.append(finished.exact)
        shown.append(finished.shown.value)
    cohort = rules.cohort(
        "validation",
        {name: site.histogram for name, site in world.items()},
        {name for name, site in world.items() if site.is_small},
        federation.data_of(world),
    )
    validation = summed(site.histogram for site in world.values())
    counted = {
        name: CandidatesReply(name, (site.histogram,) * len(SHARES), site.is_small, 0.1)
        for name, site in world.items()
    }
    candidates = shown_candidates(federation, counted, [log_loss(validation)] * len(SHARES))
    final = FinalEvaluation(
        pooled=cohort.pooled, sites=cohort.sites, missing={}, bytes_down=5, bytes_up=5,
        bytes_full_exchange=5, seconds=0.1,
        evaluate_seconds=sum(site.trains / 1000 for site in world.values()),
        validation=validation,
        ending=Ending((1, 2), Choice(1, 0.5, candidates, tuple(world), {}), 1, 2, 0.1, 0.1),
    )  # fmt: skip
    summary = rules.summary(build_summary(folder.name, "base", records, final))
    write_summary(folder / "summary.json", summary)
    write_evaluation(folder, rules.evaluation({"validation": cohort}, {}))
    totals = cohort.pooled["positives"] is not None
    write_calibration(folder, rules.calibration(validation, totals=totals))
    recorded = [*map(scalars, shown), final_scalars(summary.value)]
    (folder / "tensorboard").write_text(json.dumps(recorded), encoding="utf-8")
    lines = [
        describe(RoundFinished(one.round, ROUNDS, one.loss, one.auroc, one.bytes_up, one.seconds))
        for one in shown
    ]
    (folder / "run.log").write_text("\n".join(map(str, lines)), encoding="utf-8")


def _reply(name: str, site: Site, number: int) -> TrainReply:
    return TrainReply(
        site=name, round=number, frozen="f", delta=ArrayRecord(),
        images=site.trains, patients=site.trains, steps=1 + site.trains // 8, loss=0.693147,
        histogram=site.histogram, suppress=site.is_small,
        train_seconds=site.trains * 0.01, evaluate_seconds=0.01 * len(site.positives),
        peak_memory=10**6 + site.trains, continued_from=number - 1,
    )  # fmt: skip


LARGE = Site(tuple(range(230, 270)), tuple(range(210, 260)), 400)
MIDDLE = Site(tuple(range(235, 250)), tuple(range(220, 240)), 150)


def shared_out(
    positives: Sequence[int], negatives: Sequence[int], trains: int
) -> Iterator[tuple[Site, Site]]:
    """These patients at two sites, in every number of either class, and some in several ways."""
    for p, n in itertools.product((1, 3, len(positives) - 1), (1, 4, len(negatives) - 1)):
        for turn in (0, 1):
            first, second = (
                (list(own), list(own)[::-1])[turn] for own in (positives, negatives)
            )  # fmt: skip
            share = 4 * (p + n)
            yield (
                Site(tuple(first[:p]), tuple(second[:n]), share),
                Site(tuple(first[p:]), tuple(second[n:]), trains - share),
            )


def assert_hidden(worlds: Sequence[Site], true: Site) -> None:
    """Five class counts or more, more than min-cell values of each, and other patients' scores."""
    counts = {(len(one.positives), len(one.negatives)) for one in worlds}
    assert (len(true.positives), len(true.negatives)) in counts
    assert len(counts) >= 5
    for k in (0, 1):
        assert max(c[k] for c in counts) - min(c[k] for c in counts) >= MIN_CELL
    assert len({one.positives for one in worlds}) > 5


@pytest.mark.parametrize("large", [("a",), ("a", "d")])
def test_two_hidden_sites_beside_large_ones(tmp_path: Path, large: tuple[str, ...]) -> None:
    """The smallest sums that are shown at all: of one patient less nothing is."""
    positives, negatives = (range(start, start + MIN_CELL + 2) for start in (240, 236))
    base = {"a": LARGE, "d": MIDDLE}
    pairs = list(shared_out(positives, negatives, 80))
    true = next(
        pair for pair in pairs if (len(pair[0].positives), len(pair[0].negatives)) == (3, 4)
    )
    files = []
    for number, (b, c) in enumerate(pairs):
        world = {name: base[name] for name in large} | {"b": b, "c": c}
        files.append(files_of(tmp_path / str(number), world, [tuple(world)]))
    seen = files[pairs.index(true)]
    assert '"positives": 47' in seen or '"positives": 62' in seen  # the totals are shown
    same = [pair for pair, text in zip(pairs, files, strict=True) if text == seen]
    assert_hidden([b for b, _ in same], true[0])
    assert_hidden([c for _, c in same], true[1])


SMALL = [
    Site(tuple(range(200, 200 + p)), tuple(range(220, 220 + n)), 4 * (p + n))
    for p, n in itertools.product((1, 3, 7), repeat=2)
    if min(p, n) < MIN_CELL
] + [Site((first,), (300 - first,), 8) for first in range(100, 106)]


@pytest.mark.parametrize(
    "runs",
    [
        [("b",)],  # alone
        [("a", "d"), ("a", "b", "d")],  # it joins later
        [("a",), ("a", "b")],
        [("a", "b", "d"), ("a", "d")],  # and leaves
        [("a", "b", "d"), ("a", "b"), ("b", "d")],
    ],
)
def test_a_small_site_that_comes_and_goes(tmp_path: Path, runs: list[tuple[str, ...]]) -> None:
    """Where totals with it are shown, the site that is hidden beside it may have its patients."""
    true = Site((200, 201), (220, 221, 222), 20)
    base = {"a": LARGE, "d": MIDDLE}
    pool = Site(true.positives + MIDDLE.positives, true.negatives + MIDDLE.negatives, 170)
    worlds: list[World] = [{**base, "b": b} for b in SMALL]
    for p, n in itertools.product((1, 3, 8), repeat=2):
        for start in range(2):
            chosen = [list(own)[start:] + list(own)[:start] for own in
                      (pool.positives, pool.negatives)]  # fmt: skip
            b = Site(tuple(chosen[0][:p]), tuple(chosen[1][:n]), 4 * (p + n))
            rest = Site(tuple(chosen[0][p:]), tuple(chosen[1][n:]), 170 - b.trains)
            if b.is_small and not rest.is_small:
                worlds.append({"a": LARGE, "b": b, "d": rest})
    seen = files_of(tmp_path / "true", {**base, "b": true}, runs)
    same = [
        world["b"]
        for number, world in enumerate(worlds)
        if files_of(tmp_path / str(number), world, runs) == seen
    ]
    assert_hidden([true, *same], true)


def test_large_sites_lose_nothing(tmp_path: Path) -> None:
    text = files_of(tmp_path, {"a": LARGE, "d": MIDDLE}, [("a", "d")])
    summary = json.loads((tmp_path / "run0" / "summary.json").read_text(encoding="utf-8"))
    for metrics in (summary["pooled"], *summary["site"].values()):
        assert None not in metrics.values()
    assert "not shown" not in text


def test_a_simulation_is_its_owners_unless_it_is_said_to_be_for_others() -> None:
    config = RunConfig(sites="north")
    assert audience_of(config) is Audience.OWNER
    assert audience_of(dataclasses.replace(config, for_others=True)) is Audience.OTHERS
    assert audience_of(RunConfig()) is Audience.OTHERS
