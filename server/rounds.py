"""The loop: plan, send, collect, aggregate, record."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from flwr.app import Message

from server.aggregation.collector import Collector
from server.collect import Missing, send_and_collect
from server.evaluation import metrics_by_site, pooled_metrics
from server.federation import Federation
from server.global_model import expected_frozen_digest, select
from server.replies import list_problems, read_train_reply
from server.run.ledger import RoundRecord, SiteRound
from server.waiting import wait_for_sites
from shared.config import RunConfig
from shared.errors import ProtocolError, RunError
from shared.events import ReplyReceived, RoundRetried, RoundStarted, emit
from shared.protocol.describe import SiteDescription
from shared.protocol.plan import plan_to_values
from shared.protocol.train import MESSAGE_TYPE, TrainReply, TrainRequest
from shared.schedule import Plan, total_rounds
from shared.wire.arrays import Arrays, to_record
from shared.wire.size import serialized_size


@dataclass
class Collected:
    """What one asking of the sites brought; replies without their tensors."""

    replies: dict[str, TrainReply] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    bytes_down: int = 0
    bytes_up: int = 0
    messages: int = 0
    wait_seconds: float = 0.0
    absent: tuple[str, ...] = ()
    """Registered sites that were not connected when the round began."""


def run_round(
    federation: Federation, plan: Plan, delta: Arrays, expected: Collection[str] = ()
) -> tuple[Arrays, RoundRecord]:
    """One round, repeated while too few sites answer: the new delta and the ledger's record.

    `expected` are sites that are waited for a while where they are not connected. Raises RunError
    when the round had too few usable replies `retries` + 1 times.
    """
    config, started = federation.config, time.monotonic()
    asked: list[Collected] = []
    aggregate: Arrays | None = None
    while aggregate is None:
        asked.append(Collected())
        aggregate = _ask(federation, plan, delta, expected, asked[-1])
        if aggregate is None:
            emit(RoundRetried(plan.round, len(asked[-1].replies), config.min_sites, len(asked)))
            if len(asked) > config.retries:
                raise RunError(_too_few(plan, config, asked[-1]))
    result = asked[-1]
    replies = dict(sorted(result.replies.items()))
    images = sum(reply.images for reply in replies.values())
    metrics = metrics_by_site(
        {name: reply.histogram for name, reply in replies.items()},
        {name for name, reply in replies.items() if reply.suppress},
    )
    record = RoundRecord(
        round=plan.round,
        plan=plan_to_values(plan),
        sites={name: _site_round(reply, metrics[name]) for name, reply in replies.items()},
        refused=result.refused,
        absent=result.absent,
        attempts=len(asked),
        loss=sum(reply.loss * reply.images for reply in replies.values()) / images,
        validation=pooled_metrics(reply.histogram for reply in replies.values()),
        bytes_down=sum(one.bytes_down for one in asked),
        bytes_up=sum(one.bytes_up for one in asked),
        bytes_full_exchange=sum(one.messages for one in asked) * federation.full_model_bytes,
        seconds=time.monotonic() - started,
        wait_seconds=sum(one.wait_seconds for one in asked),
    )
    return delta | aggregate, record


def _ask(
    federation: Federation,
    plan: Plan,
    delta: Arrays,
    expected: Collection[str],
    result: Collected,
) -> Arrays | None:
    """Send the round to every site that is there and combine what comes back as it comes.

    None where too few replies are usable.
    """
    config, reference = federation.config, federation.reference
    sites = wait_for_sites(federation, expected)
    manifest = reference.specs(plan.trainable)
    content = TrainRequest(
        run=federation.run,
        base=reference.base.digest,
        plan=plan,
        expects=tuple(spec.to_line() for spec in manifest),
        delta=to_record(select(reference, delta, plan.thawed)),
    ).to_content()
    names = tuple(site.name for site in sites.values())
    result.absent = tuple(sorted(set(federation.registry().values()) - set(names)))
    emit(RoundStarted(plan, total_rounds(config), names, result.absent))
    result.messages = len(sites)
    result.bytes_down = serialized_size(content) * len(sites)
    current = select(reference, delta, plan.trainable)
    with federation.aggregator.begin(plan.round, current, federation.folder) as collector:
        started = time.monotonic()
        for node, message in send_and_collect(
            federation.grid, dict.fromkeys(sites, content),
            federation.question(MESSAGE_TYPE, str(plan.round)),
            look=federation.look, on_loss=federation.lost, check=federation.check,
        ):  # fmt: skip
            _take(federation, sites[node], plan, message, result, current, collector)
        result.wait_seconds = time.monotonic() - started
        # The whole model would have come back from the same sites, so replies count as messages.
        result.messages += len(result.replies)
        if len(result.replies) < config.min_sites:
            return None
        return _checked(federation, plan, collector.result())


def _take(
    federation: Federation,
    site: SiteDescription,
    plan: Plan,
    message: Message | Missing,
    result: Collected,
    current: Arrays,
    collector: Collector,
) -> None:
    """Enter one answer: its tensors combined, the rest kept; or refused with a reason."""
    problem = None
    if isinstance(message, Missing):
        problem = message.reason
    else:
        frozen = expected_frozen_digest(federation.reference, plan.trainable)
        try:
            manifest = federation.reference.specs(plan.trainable)
            reply = read_train_reply(message, site, plan, manifest, frozen)
            arrays = {key: current[key] + reply.delta[key] for key in current}
            collector.add(reply.site, arrays, reply.images)
            result.replies[site.name] = replace(reply, delta={})
        except ProtocolError as error:
            problem = str(error)
        if message.has_content():
            result.bytes_up += serialized_size(message.content)
    if problem is not None:
        result.refused[site.name] = problem
    emit(ReplyReceived(site.name, problem))


def _too_few(plan: Plan, config: RunConfig, last: Collected) -> str:
    asked = "once" if config.retries == 0 else f"{config.retries + 1} times"
    replies = "reply" if len(last.replies) == 1 else "replies"
    return (
        f"Round {plan.round} was asked {asked} and had {len(last.replies)} usable {replies} of at "
        f"least {config.min_sites} (min-sites). {list_problems(last.refused)}. The rounds before "
        "it are kept: mend this and continue with --resume."
    )


def _checked(federation: Federation, plan: Plan, aggregate: Arrays) -> Arrays:
    """RunError unless the average is of numbers."""
    for name, array in aggregate.items():
        if not np.isfinite(array).all():
            raise RunError(
                f"The average of round {plan.round} is not finite in {name}; lower the learning "
                f"rates, or server-learning-rate with strategy={federation.config.strategy}. The "
                "rounds before it are kept."
            )
    return aggregate


def _site_round(reply: TrainReply, metrics: Mapping[str, Any]) -> SiteRound:
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
    )
