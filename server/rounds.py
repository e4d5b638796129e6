"""The loop: plan, send, collect, aggregate, record."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.app import RecordDict
from flwr.serverapp import Grid

from server.admission import (
    Roster,
    admit_new_nodes,
    describe_refusals,
    list_problems,
    read_train_reply,
)
from server.collect import POLL_SECONDS, send_and_collect
from server.evaluation import metrics_by_site, pooled_metrics
from server.global_model import Reference, expected_frozen_digest, select
from server.run.ledger import RoundRecord, SiteRound
from server.strategy import Aggregator, Contribution
from shared.config import RunConfig
from shared.errors import ProtocolError, RunError, SiteError
from shared.events import ReplyReceived, RoundRetried, RoundStarted, Warned, emit
from shared.protocol.describe import SiteDescription
from shared.protocol.plan import plan_to_values
from shared.protocol.train import MESSAGE_TYPE, TrainReply, TrainRequest
from shared.schedule import Plan, total_rounds
from shared.wire.arrays import Arrays, to_record
from shared.wire.size import serialized_size

SIMULATION_TIMEOUT = 10.0**7


@dataclass(frozen=True)
class Federation:
    """What stays the same over a run's rounds."""

    grid: Grid
    run: str
    config: RunConfig
    reference: Reference
    aggregator: Aggregator
    roster: Roster
    full_model_bytes: int
    """One message with the whole model in float32."""


@dataclass
class Collected:
    """What one asking of the sites brought."""

    replies: dict[str, TrainReply] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    bytes_down: int = 0
    bytes_up: int = 0
    messages: int = 0
    wait_seconds: float = 0.0


def run_round(federation: Federation, plan: Plan, delta: Arrays) -> tuple[Arrays, RoundRecord]:
    """One round, repeated while too few sites answer: the new delta and the ledger's record.

    Raises RunError when it had too few usable replies `retries` + 1 times.
    """
    config, started = federation.config, time.monotonic()
    asked: list[Collected] = []
    for attempt in range(1, config.retries + 2):
        asked.append(_ask(federation, plan, delta))
        usable = len(asked[-1].replies)
        if usable >= config.min_sites:
            break
        emit(RoundRetried(plan.round, usable, config.min_sites, attempt))
    else:
        raise RunError(_too_few(plan, config, asked[-1]))
    result = asked[-1]
    replies = dict(sorted(result.replies.items()))
    merged = delta | _aggregate(federation, plan, delta, replies)
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
        attempts=len(asked),
        loss=sum(reply.loss * reply.images for reply in replies.values()) / images,
        validation=pooled_metrics(reply.histogram for reply in replies.values()),
        bytes_down=sum(one.bytes_down for one in asked),
        bytes_up=sum(one.bytes_up for one in asked),
        bytes_full_exchange=sum(one.messages for one in asked) * federation.full_model_bytes,
        seconds=time.monotonic() - started,
        wait_seconds=sum(one.wait_seconds for one in asked),
    )
    return merged, record


def _ask(federation: Federation, plan: Plan, delta: Arrays) -> Collected:
    """Send the round to every site that is there and take what comes back in time."""
    config, reference = federation.config, federation.reference
    sites = wait_for_sites(federation)
    manifest = reference.specs(plan.trainable)
    content = TrainRequest(
        run=federation.run,
        base=reference.base.digest,
        plan=plan,
        expects=tuple(spec.to_line() for spec in manifest),
        delta=to_record(select(reference, delta, plan.thawed)),
    ).to_content()
    names = tuple(site.name for site in sites.values())
    emit(RoundStarted(plan, total_rounds(config), names))
    size = serialized_size(content)
    result = Collected(bytes_down=size * len(sites), messages=len(sites))
    frozen = expected_frozen_digest(reference, plan.trainable)
    started = time.monotonic()
    contents: Mapping[int, RecordDict] = dict.fromkeys(sites, content)
    for node, message in send_and_collect(
        federation.grid, contents, MESSAGE_TYPE, str(plan.round), reply_timeout(config)
    ):
        problem = None
        try:
            reply = read_train_reply(message, sites[node], plan, manifest, frozen)
            result.replies[reply.site] = reply
        except ProtocolError as error:
            problem = result.refused[sites[node].name] = str(error)
        if message.has_content():
            result.bytes_up += serialized_size(message.content)
        emit(ReplyReceived(sites[node].name, problem))
    result.wait_seconds = time.monotonic() - started
    for name in names:
        if name not in result.replies and name not in result.refused:
            result.refused[name] = f"no reply within {config.round_timeout} s"
            emit(ReplyReceived(name, result.refused[name]))
    # The whole model would have come back from the same sites, so replies count as messages.
    result.messages += len(result.replies)
    return result


def reply_timeout(config: RunConfig) -> float:
    """Seconds to wait for replies; in a simulation, where sites take turns, none is late."""
    return SIMULATION_TIMEOUT if config.sites else config.round_timeout


def wait_for_sites(federation: Federation) -> dict[int, SiteDescription]:
    """The admitted sites that are connected, once there are `min-sites` of them.

    Waits no longer than a round may take; RunError then, with what is known of the others.
    """
    config = federation.config
    deadline = time.monotonic() + reply_timeout(config)
    told = False
    while True:
        nodes = list(federation.grid.get_node_ids())
        _admit(federation, nodes, deadline - time.monotonic())
        sites = federation.roster.present(nodes)
        if config.sites and federation.roster.refused:
            # Who names four folders wants four sites, and waiting would bring no further one.
            raise SiteError(describe_refusals(federation.roster.refused))
        if len(sites) >= config.min_sites:
            return sites
        if time.monotonic() >= deadline:
            raise RunError(_too_few_connected(federation, len(sites)))
        if not told:
            emit(Warned(f"Waiting for sites: {len(sites)} of {config.min_sites} are there."))
            told = True
        time.sleep(POLL_SECONDS)


def _admit(federation: Federation, nodes: list[int], seconds: float) -> None:
    before = set(federation.roster.refused.values())
    admit_new_nodes(
        federation.grid,
        federation.roster,
        nodes,
        run=federation.run,
        base=federation.reference.base.digest,
        timeout=max(seconds, 1.0),
    )
    if federation.config.sites:
        return  # a simulation ends with these sentences
    refused = federation.roster.refused
    for sentence in sorted(set(refused.values()) - before):
        emit(Warned(sentence))


def _too_few_connected(federation: Federation, present: int) -> str:
    config = federation.config
    refusals = describe_refusals(federation.roster.refused)
    return (
        f"{present} of at least {config.min_sites} sites (min-sites) can take part. "
        f"{refusals or 'Start the clients of the others, or lower min-sites.'} "
        "What was done so far is kept; continue with --resume."
    )


def _too_few(plan: Plan, config: RunConfig, last: Collected) -> str:
    asked = "once" if config.retries == 0 else f"{config.retries + 1} times"
    replies = "reply" if len(last.replies) == 1 else "replies"
    return (
        f"Round {plan.round} was asked {asked} and had {len(last.replies)} usable {replies} of at "
        f"least {config.min_sites} (min-sites). {list_problems(last.refused)}. The rounds before "
        "it are kept: mend this and continue with --resume."
    )


def _aggregate(
    federation: Federation, plan: Plan, delta: Arrays, replies: Mapping[str, TrainReply]
) -> Arrays:
    """The trainable stages' new delta."""
    current = select(federation.reference, delta, plan.trainable)
    contributions = [
        Contribution({key: current[key] + reply.delta[key] for key in current}, reply.images)
        for reply in replies.values()
    ]
    aggregate = federation.aggregator.aggregate(plan.round, current, contributions)
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
