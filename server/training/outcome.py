"""What a round brought, and its record in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from server.aggregation.intake import Verdict
from server.federation.context import Federation
from server.results.shown import Shown
from server.results.signals import Signals, UnitSignals
from server.run.ledger import RoundRecord, SiteRound
from server.schedule.measure import (
    pooled_chance_loss,
    pooled_log_loss,
    pooled_refined_loss,
    with_noise,
)
from shared.metrics.classes.kinds import Counts
from shared.outcome.counts import metrics_of, summed_counts
from shared.outcome.outcome import Outcome
from shared.protocol.plan import plan_to_values
from shared.protocol.train import TrainReply
from shared.settings.schedule import Plan

_LARGEST_RATIO = 1e30  # JSON has no infinity


@dataclass
class Collected:
    """What one asking of the sites brought; replies without their tensors."""

    replies: dict[str, TrainReply] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    diverged: set[str] = field(default_factory=set)
    """Sites of `refused` that could not use the weights, or whose training left NaN or infinite
    ones."""
    verdict: Verdict = field(default_factory=Verdict)
    bytes_down: int = 0
    bytes_up: int = 0
    messages: int = 0
    wait_seconds: float = 0.0
    units: dict[str, UnitSignals] = field(default_factory=dict)
    """What the units that trained showed; empty where no decision needs it."""
    absent: tuple[str, ...] = ()
    """Registered sites that were not connected when the round began; those that were and could not
    take part are among `refused`."""


@dataclass(frozen=True)
class FinishedRound:
    """A round exactly, for the run to go on with, and as it may be shown."""

    exact: RoundRecord
    shown: Shown[RoundRecord]


def record_of(
    federation: Federation,
    plan: Plan,
    asked: Sequence[Collected],
    seconds: float,
) -> FinishedRound:
    """The round's record: the last asking's replies, everybody's bytes and waiting."""
    result = asked[-1]
    replies = dict(sorted(result.replies.items()))
    weights, outcome = result.verdict.weights, federation.disclosure.outcome
    histograms = {name: reply.histogram for name, reply in replies.items()}
    cohort = federation.disclosure.cohort(
        "validation",
        histograms,
        {name for name, reply in replies.items() if reply.suppress},
        federation.data_of(replies),
    )
    pooled = summed_counts(outcome, histograms.values())
    exact = RoundRecord(
        round=plan.round,
        plan=plan_to_values(plan),
        sites={
            name: _site_round(reply, result.verdict.ratios.get(name), outcome)
            for name, reply in replies.items()
        },
        refused=result.refused,
        absent=result.absent,
        attempts=len(asked),
        loss=sum(reply.loss * weights[name] for name, reply in replies.items())
        / sum(weights.values()),
        validation=metrics_of(outcome, pooled),
        bytes_down=sum(one.bytes_down for one in asked),
        bytes_up=sum(one.bytes_up for one in asked),
        bytes_full_exchange=sum(one.messages for one in asked) * federation.full_model_bytes,
        seconds=seconds,
        wait_seconds=sum(one.wait_seconds for one in asked),
        signals=_signals(result, pooled),
        clipped=tuple(sorted(result.verdict.clipped)),
    )
    return FinishedRound(exact, federation.disclosure.round(exact, cohort))


def _signals(result: Collected, pooled: Counts) -> Signals | None:
    if not result.units:
        return None
    noise = {name: reply.signal_to_noise for name, reply in result.replies.items()}
    units = with_noise(result.units, noise, result.verdict.weights)
    return Signals(
        units, pooled_log_loss(pooled), pooled_refined_loss(pooled), pooled_chance_loss(pooled)
    )


def _site_round(reply: TrainReply, ratio: float | None, outcome: Outcome) -> SiteRound:
    return SiteRound(
        images=reply.images,
        patients=reply.patients,
        steps=reply.steps,
        loss=reply.loss,
        train_seconds=reply.train_seconds,
        evaluate_seconds=reply.evaluate_seconds,
        peak_memory_bytes=reply.peak_memory,
        continued_from=reply.continued_from,
        metrics=metrics_of(outcome, reply.histogram),
        update_ratio=None if ratio is None else float(f"{min(ratio, _LARGEST_RATIO):.2g}"),
    )
