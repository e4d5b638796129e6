"""The loop: plan, send, collect, aggregate, record."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace

import numpy as np
from flwr.app import ArrayRecord, Message, RecordDict

from server.aggregation.collector import Collector
from server.collect import Missing, send_and_collect
from server.federation import Federation
from server.global_model import expected_frozen_digest, select
from server.outcome import Collected, FinishedRound, record_of
from server.replies import list_problems, read_train_reply
from server.waiting import wait_for_sites
from shared.config import RunConfig
from shared.errors import ProtocolError, RunError
from shared.events import ReplyReceived, RoundRetried, RoundStarted, emit
from shared.protocol.describe import SiteDescription
from shared.protocol.train import MESSAGE_TYPE
from shared.schedule import Plan, total_rounds
from shared.wire.arrays import Arrays, from_record
from shared.wire.size import serialized_size


def run_round(
    federation: Federation,
    plan: Plan,
    delta: Arrays,
    expected: Collection[str] = (),
) -> tuple[Arrays, FinishedRound]:
    """One round, repeated while too few sites answer: the new delta and the round's record.

    `expected` are sites that are waited for a while where they are not connected. Raises RunError
    when the round had too few usable replies `retries` + 1 times.
    """
    config, started = federation.config, time.monotonic()
    # Encoded once: a round that is asked again sends the same bytes.
    request, residual = federation.downlink.request(
        federation.run, federation.reference, plan, delta, config.update_dtype
    )
    asked: list[Collected] = []
    aggregate: Arrays | None = None
    while aggregate is None:
        asked.append(Collected())
        aggregate = _ask(federation, plan, request, delta, expected, asked[-1])
        if aggregate is None:
            emit(RoundRetried(plan.round, len(asked[-1].replies), config.min_sites, len(asked)))
            if len(asked) > config.retries:
                raise RunError(_too_few(plan, config, asked[-1]))
    federation.downlink.residual = residual
    seconds = time.monotonic() - started
    return delta | aggregate, record_of(federation, plan, asked, seconds)


def _ask(
    federation: Federation,
    plan: Plan,
    request: RecordDict,
    delta: Arrays,
    expected: Collection[str],
    result: Collected,
) -> Arrays | None:
    """Send the round to every site that is there and combine what comes back as it comes.

    None where too few replies are usable.
    """
    config = federation.config
    sites = wait_for_sites(federation, expected)
    names = tuple(site.name for site in sites.values())
    result.absent = tuple(sorted(set(federation.registry().values()) - set(names)))
    emit(RoundStarted(plan, total_rounds(config), names, result.absent))
    result.messages = len(sites)
    result.bytes_down = serialized_size(request) * len(sites)
    current = select(federation.reference, delta, plan.trainable)
    with federation.aggregator.begin(plan.round, current, federation.folder) as collector:
        started = time.monotonic()
        for node, message in send_and_collect(
            federation.grid, dict.fromkeys(sites, request),
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
            reply = read_train_reply(message, site, plan, frozen)
            manifest = federation.reference.specs(plan.trainable, federation.config.update_dtype)
            arrays = from_record(reply.delta, manifest)
            for key, array in arrays.items():
                np.add(array, current[key], out=array)
            collector.add(reply.site, arrays, reply.images)
            result.replies[site.name] = replace(reply, delta=ArrayRecord())
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
