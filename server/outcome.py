"""What a round brought, and its record in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.aggregation.intake import Verdict
from server.evaluation import evaluation_of
from server.federation import Federation
from server.run.ledger import RoundRecord, SiteRound
from shared.protocol.plan import plan_to_values
from shared.protocol.train import TrainReply
from shared.schedule import Plan

_LARGEST_RATIO = 1e30  # JSON has no infinity


@dataclass
class Collected:
    """What one asking of the sites brought; replies without their tensors."""

    replies: dict[str, TrainReply] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    diverged: set[str] = field(default_factory=set)
    """Sites of `refused` that could not use the weights, or whose training left no numbers."""
    verdict: Verdict = field(default_factory=Verdict)
    bytes_down: int = 0
    bytes_up: int = 0
    messages: int = 0
    wait_seconds: float = 0.0
    absent: tuple[str, ...] = ()
    """Registered sites that were not connected when the round began; those that were and could not
    take part are among `refused`."""


def record_of(
    federation: Federation,
    plan: Plan,
    asked: Sequence[Collected],
    seconds: float,
    earlier: Sequence[RoundRecord] = (),
) -> RoundRecord:
    """The ledger's record: the last asking's replies, everybody's bytes and waiting.

    What it shows of the sites tells nothing more beside the rounds before, `earlier`.
    """
    result = asked[-1]
    replies = dict(sorted(result.replies.items()))
    weights = result.verdict.weights
    evaluation = evaluation_of(
        {name: reply.histogram for name, reply in replies.items()},
        {name for name, reply in replies.items() if reply.suppress},
        earlier,
    )
    return RoundRecord(
        round=plan.round,
        plan=plan_to_values(plan),
        sites={
            name: _site_round(reply, evaluation.sites[name], result.verdict.ratios.get(name))
            for name, reply in replies.items()
        },
        refused=result.refused,
        absent=result.absent,
        attempts=len(asked),
        loss=sum(reply.loss * weights[name] for name, reply in replies.items())
        / sum(weights.values()),
        validation=evaluation.pooled,
        bytes_down=sum(one.bytes_down for one in asked),
        bytes_up=sum(one.bytes_up for one in asked),
        bytes_full_exchange=sum(one.messages for one in asked) * federation.full_model_bytes,
        seconds=seconds,
        wait_seconds=sum(one.wait_seconds for one in asked),
    )


def _site_round(reply: TrainReply, metrics: Mapping[str, Any], ratio: float | None) -> SiteRound:
    return SiteRound(
        images=reply.images,
        patients=reply.patients,
        steps=reply.steps,
        loss=reply.loss,
        train_seconds=reply.train_seconds,
        evaluate_seconds=reply.evaluate_seconds,
        peak_memory_bytes=reply.peak_memory,
        continued_from=reply.continued_from,
        metrics=metrics,
        update_ratio=None if ratio is None else float(f"{min(ratio, _LARGEST_RATIO):.2g}"),
    )
