"""Scripted sites behind a real in-process grid: the contract kept, the training invented."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flwr.app import Context, Error, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray

from server.aggregation.strategy import build_aggregator
from server.external.cohorts import ScoredCohort, evaluate_cohorts
from server.external.subgroups import Column
from server.federation.connected import nobody_registered
from server.federation.context import Federation
from server.federation.global_model import (
    Reference,
    build_reference,
    expected_frozen_digest,
    initial_delta,
)
from server.federation.roster import Roster
from server.results.external import ExternalEvaluation
from server.results.plan import Arm, StudyPlan
from server.results.study import RoundsTaken, StudyResult
from server.run.ledger import RoundRecord, SiteRound
from server.simulation.grid import FIRST_NODE_ID, InProcessGrid, site_contexts
from server.study.held_out import Fold
from server.study.paired import PairedRepeats
from server.study.statistics import arm_result, comparison, grade_result
from shared.metrics.binary import auroc
from shared.metrics.delong import delong_test
from shared.metrics.histogram import Histogram, bin_of
from shared.metrics.paired import PairedSums, placements
from shared.metrics.summary import summarise, suppressed
from shared.model.exchanged import batch_norm_statistics
from shared.model.pretrained import load_base
from shared.model.resnet import MICRO
from shared.protocol.candidates import CandidatesReply, CandidatesRequest
from shared.protocol.describe import SiteDescription
from shared.protocol.evaluate import EvaluateReply
from shared.protocol.plan import plan_to_values
from shared.protocol.train import TrainReply, TrainRequest
from shared.run.finished import Calibration, FinishedRun, OperatingPoint, StoredRun
from shared.run.patient_scores import PatientScore, ScoreFile
from shared.seeds import derive_seed
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round
from shared.wire.arrays import Arrays, to_record

NAMES = ("north", "east", "south")
IMAGES = {"north": 30, "east": 20, "south": 10, "west": 40}
IMAGES |= {f"site{number:02}": 10 + number for number in range(16)}


@pytest.fixture(autouse=True)
def _task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower builds messages from the identity of the task that a process runs."""
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


@pytest.fixture
def config() -> RunConfig:
    """A whole run in a second: five rounds of the smallest network, exact on the wire."""
    return RunConfig(
        backbone="micro", weights="random", rounds=4, probe_rounds=1, min_sites=3, retries=0,
        update_dtype="float32",
    )  # fmt: skip


@pytest.fixture
def reference(config: RunConfig) -> Reference:
    return build_reference(config, load_base(config))


@pytest.fixture
def delta(config: RunConfig, reference: Reference) -> Arrays:
    """What a run begins with: the head."""
    return initial_delta(reference, config)


class ScriptedGrid(InProcessGrid):
    """Replies can be held back, and arrive in an order of their own; nodes come and go.

    A node's public key is its number in bytes. One in `restarted` lost what it was asked before.
    """

    silent: frozenset[int] = frozenset()
    gone: frozenset[int] = frozenset()
    backwards: bool = False
    restarted: Mapping[int, str] = {}
    """When nodes were last activated, where that was not at the beginning."""
    on_look: Callable[[], None] = staticmethod(lambda: None)
    """Called before it is said who is connected."""

    def get_node_ids(self) -> Iterable[int]:
        self.on_look()
        return [node for node in super().get_node_ids() if node not in self.gone]

    def get_nodes(self) -> Iterable[Any]:
        return [
            SimpleNamespace(
                node_id=node,
                public_key=str(node).encode(),
                last_activated_at=self.restarted.get(node, "at the beginning"),
            )
            for node in self.get_node_ids()
        ]

    def restart(self, node: int, moment: str) -> None:
        """The node's process is another one, and messages to the one before are lost."""
        self.restarted = {**self.restarted, node: moment}
        self._waiting = {
            one: message
            for one, message in self._waiting.items()
            if message.metadata.dst_node_id != node
        }

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        answering = [
            one
            for one in message_ids
            if one in self._waiting and self._waiting[one].metadata.dst_node_id not in self.silent
        ]
        return super().pull_messages(answering[::-1] if self.backwards else answering)


@dataclass
class Sites:
    """Sites by name; `spoil` may change a reply or raise, `heard` keeps what was asked."""

    reference: Reference
    names: tuple[str, ...]
    spoil: Callable[[str, Message, RecordDict], RecordDict | Error] = lambda *given: given[2]
    heard: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, message: Message, context: Context) -> Message:
        name, kind = self.names[context.node_id - FIRST_NODE_ID], message.metadata.message_type
        self.heard.append((name, kind))
        reply = {
            "query": self._describe,
            "train": self._train,
            "evaluate": self._evaluate,
            "evaluate.candidates": self._candidates,
        }[kind]
        return Message(self.spoil(name, message, reply(name, message)), reply_to=message)

    def _describe(self, name: str, _: Message) -> RecordDict:
        base = self.reference.base.digest
        return SiteDescription(name, base, IMAGES[name], IMAGES[name]).to_content()

    def _train(self, name: str, message: Message) -> RecordDict:
        request = TrainRequest.from_content(message.content, MICRO)
        return self.reply(name, request).to_content()

    def reply(self, name: str, request: TrainRequest) -> TrainReply:
        plan = request.plan
        return TrainReply(
            site=name,
            round=plan.round,
            frozen=expected_frozen_digest(self.reference, plan.trainable),
            delta=to_record(self.update(name, plan.round, plan.trainable)),
            images=IMAGES[name],
            patients=IMAGES[name],
            steps=-(-IMAGES[name] // 8),
            loss=1.0 / plan.round,
            histogram=self.histogram(name, plan.round),
            suppress=name == "south",
            train_seconds=2.0,
            evaluate_seconds=0.5,
            peak_memory=IMAGES[name] * 1000,
            continued_from=plan.round - 1,
        )

    def update(self, name: str, round_number: int, stages: tuple[str, ...]) -> Arrays:
        """What a site would have learnt; the same for the same site and round."""
        generator = np.random.default_rng(derive_seed(0, name, round_number))
        return {
            spec.name: generator.normal(0, 1e-3, spec.shape).astype(np.float32)
            for spec in self.reference.specs(stages)
        }

    def histogram(self, name: str, after_round: int) -> Histogram:
        generator = np.random.default_rng(derive_seed(1, name, after_round))
        labels = np.arange(IMAGES[name]) % 2
        return Histogram.from_logits(generator.normal(labels, 1), labels)

    def _evaluate(self, name: str, _: Message) -> RecordDict:
        return EvaluateReply(name, self.histogram(name, 99), name == "south", 0.5).to_content()

    def _candidates(self, name: str, message: Message) -> RecordDict:
        request = CandidatesRequest.from_content(message.content, MICRO)
        counts = tuple(self.histogram(name, 200 + n) for n in range(len(request.shares)))
        return CandidatesReply(name, counts, name == "south", 0.25).to_content()


MakeSites = Callable[..., tuple[Sites, ScriptedGrid]]


@pytest.fixture
def make_sites(config: RunConfig, reference: Reference) -> MakeSites:
    """Scripted sites of these names and the grid that reaches them."""

    def make(names: tuple[str, ...] = NAMES) -> tuple[Sites, ScriptedGrid]:
        sites = Sites(reference, names)
        return sites, ScriptedGrid(sites, site_contexts(config, len(names)))

    return make


@pytest.fixture
def make_federation(config: RunConfig, reference: Reference, tmp_path: Path) -> Callable[..., Any]:
    """A federation behind this grid; with `names` a registry of the nodes by their keys."""

    def make(grid: Any, names: Mapping[int, str] | None = None, **changes: object) -> Federation:
        chosen = dataclasses.replace(config, **changes)  # type: ignore[arg-type]
        registered = {str(node).encode(): name for node, name in (names or {}).items()}
        return Federation(
            grid=grid,
            registry=nobody_registered if names is None else lambda: registered,
            run="r1",
            folder=tmp_path,
            config=chosen,
            reference=reference,
            aggregator=build_aggregator(chosen, batch_norm_statistics(reference.network)),
            roster=Roster(),
            full_model_bytes=1_000_000,
        )

    return make


MakeRecord = Callable[..., RoundRecord]


@pytest.fixture(scope="session")
def make_record() -> MakeRecord:
    """The ledger's record of a round with two sites, one of which suppresses its values."""

    def make(number: int, auroc: float | None = 0.75, seconds: float = 3.0) -> RoundRecord:
        metrics = summarise(Histogram.from_logits([-1, 1, 2], [0, 0, 1])).to_json()
        sites = {
            name: SiteRound(
                images=images,
                patients=images,
                steps=4,
                loss=0.5,
                train_seconds=1.5,
                evaluate_seconds=0.25,
                peak_memory_bytes=images * 1000,
                continued_from=number - 1,
                metrics=shown,
            )
            for name, images, shown in [
                ("east", 20, metrics),
                ("north", 30, suppressed().to_json()),
            ]
        }
        return RoundRecord(
            round=number,
            plan=plan_to_values(plan_round(RunConfig(), number)),
            sites=sites,
            refused={"south": "no reply within 60 s"},
            attempts=1,
            loss=0.5,
            validation={**metrics, "auroc": auroc},
            bytes_down=100 * number,
            bytes_up=10 * number,
            bytes_full_exchange=1000,
            seconds=seconds,
            wait_seconds=2.0,
        )

    return make


@pytest.fixture(scope="session")
def make_study_result() -> Callable[..., StudyResult]:
    """A study of invented scores: a first arm, a better one, and site a alone."""

    def make(repeats: int = 2, folds: int = 2) -> StudyResult:
        arms = (Arm("first"), Arm("second", {"schedule": "full"}), Arm("a alone", {}, ("a",)))
        sizes, gains = (60, 60, 24), (1.0, 2.0, 0.5)
        scored = [
            [_scored(seed, size, gain, folds) for seed in range(repeats)]
            for size, gain in zip(sizes, gains, strict=True)
        ]
        paired = [_paired(own, scored[0]) for own in scored[1:2]]
        return StudyResult(
            plan=StudyPlan((*arms, Arm("b alone", {}, ("b",))), folds, repeats),
            sites=("a", "b"),
            arms=tuple(
                arm_result(arm, [_folds(one, folds) for one in own], 100.5, ROUNDS)
                for arm, own in zip(arms, scored, strict=True)
            ),
            comparisons=tuple(
                dataclasses.replace(comparison(arms[1], ("a", "b"), own), p_holm=0.04)
                for own in paired
            ),
            not_shown=("b alone",),
            grade=grade_result(
                Histogram.from_logits([-1.0, 0.0, 1.0, 1.0], [0, 1, 0, 1]), paired[0]
            ),
        )

    return make


ROUNDS = RoundsTaken(3, 3, 3)
Scored = tuple[NDArray[np.float64], NDArray[np.int64]]


def _scored(seed: int, patients: int, gain: float, folds: int) -> Scored:
    labels = np.arange(patients) // folds % 2
    rng = np.random.default_rng(seed)
    return (2 * labels - 1) * gain / 2 + rng.normal(size=patients), labels


def _folds(scored: Scored, folds: int) -> list[Fold]:
    logits, labels = scored
    return [
        Fold(Histogram.from_logits(logits[n::folds], labels[n::folds]), {"youden": 0.5}, 1.5)
        for n in range(folds)
    ]


def _paired(mine: list[Scored], first: list[Scored]) -> PairedRepeats:
    counted = [[Histogram.from_logits(*one) for one in arm] for arm in (mine, first)]
    bins = [[bin_of(logits) for logits, _ in arm] for arm in (mine, first)]
    places = [[placements(one) for one in arm] for arm in counted]
    found = delong_test(PairedSums.of_repeats(bins[0], bins[1], mine[0][1], places[0], places[1]))
    assert found is not None
    areas = [(auroc(a) or 0.0, auroc(b) or 0.0) for a, b in zip(*counted, strict=True)]
    return PairedRepeats(tuple(areas), found)


CALIBRATION = Calibration(
    0.9, (OperatingPoint("youden", 0.4), OperatingPoint("sensitivity-0.9", 0.25)), (-0.2, 1.3)
)


def make_cohort(
    name: str,
    counts: Mapping[str, tuple[int, int]],
    *,
    seed: int = 0,
    finding: str = "pneumonia (1)",
    min_cell: int = 5,
) -> ScoredCohort:
    """`counts` has positives and negatives by what the column `sex` says."""
    rng = np.random.default_rng(seed)
    found: list[PatientScore] = []
    for sex, classes in counts.items():
        for truth, number in zip((1, 0), classes, strict=True):
            scores = 1 / (1 + np.exp(-rng.normal(0.8 * truth - 0.3, 1, number)))
            found += [
                PatientScore(
                    name, f"{name}-{sex}-{truth}{n}", truth, float(score), 1, {"sex": (sex,)}
                )
                for n, score in enumerate(scores)
            ]
    return ScoredCohort(ScoreFile(name, "all", finding, min_cell, tuple(found)), ())


def make_evaluation(
    *cohorts: ScoredCohort, calibration: Calibration | None = CALIBRATION, name: str = "first"
) -> ExternalEvaluation:
    """The evaluation of a run that chose this, in subgroups by sex."""
    finished = FinishedRun(
        StoredRun("20260101-000000-abcdef", RunConfig(), ""), Path("model"), calibration
    )
    found = evaluate_cohorts(finished, name, cohorts, [Column("sex")])
    assert isinstance(found, ExternalEvaluation)
    return found


@pytest.fixture(scope="session")
def cohort() -> Callable[..., ScoredCohort]:
    """A cohort, by its name and what the column `sex` says of how many patients of each class."""
    return make_cohort


@pytest.fixture(scope="session")
def evaluation() -> Callable[..., ExternalEvaluation]:
    """The evaluation of cohorts, by sex."""
    return make_evaluation
