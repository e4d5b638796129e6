"""The loop: plan, send, collect, aggregate, record."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from flwr.app import ArrayRecord, RecordDict

from server.aggregation.agreement import Agreement
from server.aggregation.intake import Intake, Rules
from server.aggregation.screen import Reach, Screen, stage_rates
from server.federation.asking import Answer, Problem
from server.federation.context import Federation
from server.federation.delivery import Delivery
from server.federation.downlink import Sending
from server.federation.global_model import select
from server.federation.plausible import (
    credited_steps,
    require_own_units,
    require_plausible_training,
    training_weight,
)
from server.federation.quorum import wait_for_sites
from server.federation.replies import list_problems, read_train_reply, require_usable_weights
from server.schedule.measure import agreement_of, unit_signals
from server.training.frozen import frozen_in_round
from server.training.outcome import Collected, FinishedRound, record_of
from shared.errors import RunError
from shared.model.exchanged import batch_norm_statistics
from shared.protocol.describe import SiteDescription
from shared.protocol.sent_model import SentModel
from shared.protocol.train import MESSAGE_TYPE, TrainReply, TrainRequest
from shared.run.events import ReplyReceived, RoundRetried, RoundStarted, Warned, emit
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan, last_round, shows_signals
from shared.update.chain import receive
from shared.update.step import Passage
from shared.wire.arrays import Arrays


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
    sending = federation.downlink.sending(
        federation.reference, config, plan.thawed, delta, plan.round
    )
    frozen = frozen_in_round(federation.reference, plan, sending.after)
    asked: list[Collected] = []
    aggregate: Arrays | None = None
    while aggregate is None:
        asked.append(Collected())
        aggregate = _ask(federation, plan, sending, frozen, delta, expected, asked[-1])
        if aggregate is None:
            emit(RoundRetried(plan.round, len(asked[-1].replies), config.min_sites, len(asked)))
            if len(asked) > config.retries:
                raise RunError(_too_few(plan, config, asked[-1]))
    finished = record_of(federation, plan, asked, time.monotonic() - started)
    # As a continued run reads it from the ledger: a site whose update was refused or clipped is
    # informed that it did not count.
    federation.downlink.sent(sending, config, finished.exact.counted, plan.trainable)
    return delta | aggregate, finished


def _ask(
    federation: Federation,
    plan: Plan,
    sending: Sending,
    frozen: str,
    delta: Arrays,
    expected: Collection[str],
    result: Collected,
) -> Arrays | None:
    """Send the round to every site that is there and combine what comes back as it comes.

    None where too few replies are usable.
    """
    config = federation.config
    connected = wait_for_sites(federation, expected)
    sites = {n: site for n, site in connected.items() if site.name not in federation.excluded}
    names = tuple(site.name for site in sites.values())
    result.absent, unable = federation.others([site.name for site in connected.values()])
    result.refused = unable | federation.excluded_of(connected)
    last = last_round(config, plan.round, plan.position, plan.length)
    emit(RoundStarted(plan, last, names, result.absent, unable))
    result.messages = len(sites)
    question = partial(_question, federation, plan)
    delivery = Delivery(sites, sending, federation.downlink.seen, question)
    current = select(federation.reference, delta, plan.trainable)
    agreement = agreement_of(federation.reference, current) if shows_signals(config) else None
    with _intake(federation, plan, current, agreement) as intake:
        started = time.monotonic()
        read = partial(_read, federation, sites, plan, frozen, intake)
        for answer in federation.ask(
            delivery.contents(), MESSAGE_TYPE, str(plan.round), read, delivery.further
        ):
            _enter(sites[answer.node].name, answer, result)
        result.bytes_down = delivery.bytes_down
        result.bytes_up += delivery.bytes_up
        result.wait_seconds = time.monotonic() - started
        # The whole model would have come back from the same sites, so replies count as messages.
        result.messages += len(result.replies)
        _apply(federation, intake, result)
        diverged = {name: result.refused[name] for name in result.diverged}
        require_usable_weights(diverged, len(sites), plan.round - 1)
        if len(result.replies) < config.min_sites:
            return None
        aggregate = _checked(federation, plan, intake.result())
    if agreement is not None:
        result.units = unit_signals(federation.reference, current, aggregate, agreement)
    return aggregate


def _question(federation: Federation, plan: Plan, model: SentModel) -> RecordDict:
    expects = federation.reference.specs(plan.trainable, federation.config.sent_dtype)
    return TrainRequest(
        run=federation.run,
        base=federation.reference.base.digest,
        plan=plan,
        expects=tuple(spec.to_line() for spec in expects),
        model=model,
    ).to_content()


def _intake(
    federation: Federation, plan: Plan, current: Arrays, agreement: Agreement | None
) -> Intake:
    """Where a round's updates go, screened against the weights that the sites receive."""
    config = federation.config
    base = federation.reference.base.state
    received = ((key, base[key].numpy() + value) for key, value in current.items())
    fitted = config.logistic_c if config.schedule == "logistic" else 0.0
    reach = Reach(stage_rates(config.network, plan.rates), config.optimizer != "sgd", fitted)
    screen = Screen.of(received, reach, config.update_screen_factor, config.network)
    rules = Rules(config.update_screen, config.max_weight_share)
    return Intake(
        federation.aggregator, plan.round, current, screen, rules, federation.folder, agreement
    )


def _apply(federation: Federation, intake: Intake, result: Collected) -> None:
    """Let the screen judge what has come, and say what it found."""
    result.verdict = intake.judge()
    for name, why in sorted(result.verdict.refused.items()):
        result.replies.pop(name, None)
        result.refused[name] = why
        emit(Warned(f"{name} is excluded from this round: {why}."))
    for name, why in sorted(result.verdict.clipped.items()):
        emit(Warned(f"{name}'s update is clipped: {why}."))
    for name in result.verdict.capped:
        federation.warn_once(
            f"{name} has more than {federation.config.max_weight_share:g} of all training images; "
            "it counts as that share of the average (max-weight-share)."
        )


def _read(
    federation: Federation,
    sites: Mapping[int, SiteDescription],
    plan: Plan,
    frozen: str,
    intake: Intake,
    node: int,
    content: RecordDict,
) -> TrainReply:
    """One site's reply, its tensors combined and then let go; ProtocolError where it is refused."""
    site, reference = sites[node], federation.reference
    reply = read_train_reply(content, site, plan, frozen, federation.config.predicts)
    require_plausible_training(reply, site, federation.config)
    require_own_units(reply, plan, federation.config)
    manifest = reference.specs(plan.trainable, federation.config.sent_dtype)
    passage = Passage(
        federation.config, federation.run, plan.round, site.name,
        batch_norm_statistics(reference.network),
    )  # fmt: skip
    arrays = receive(reply.delta, manifest, passage)
    weight = training_weight(reply, site)
    if weight < reply.images:
        federation.warn_once(
            f"{site.name} trains on more images than it had when it joined; in this run it "
            "counts as it did then."
        )
    intake.add(reply.site, arrays, weight, credited_steps(reply, site, federation.config))
    return replace(reply, delta=ArrayRecord())


def _enter(name: str, answer: Answer[TrainReply], result: Collected) -> None:
    result.bytes_up += answer.bytes
    reason = None
    if isinstance(answer.said, Problem):
        reason = result.refused[name] = answer.said.reason
        if answer.said.diverged:
            result.diverged.add(name)
    else:
        result.replies[name] = answer.said
    emit(ReplyReceived(name, reason))


def _too_few(plan: Plan, config: RunConfig, last: Collected) -> str:
    asked = "once" if config.retries == 0 else f"{config.retries + 1} times"
    problems = [list_problems(last.refused)] if last.refused else []
    problems += [f"Not connected: {', '.join(last.absent)}"] if last.absent else []
    replies = "reply" if len(last.replies) == 1 else "replies"
    return (
        f"Round {plan.round} was asked {asked} and had {len(last.replies)} usable {replies} of at "
        f"least {config.min_sites} (min-sites). {'; '.join(problems)}. The rounds before "
        "it are kept: fix this and continue with --resume."
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
