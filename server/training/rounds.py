"""The loop: plan, send, collect, aggregate, record."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from flwr.app import ArrayRecord, RecordDict

from server.aggregation.agreement import Agreement
from server.aggregation.intake import Average, Intake, Rules
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


@dataclass(frozen=True)
class _Asking:
    """What the sites are asked in a round, each time the same."""

    federation: Federation
    plan: Plan
    delta: Arrays
    """The model before the round."""
    sending: Sending
    """That model, encoded once: a round that is asked again sends the same bytes."""
    frozen: str
    """Digest of what does not train, which every reply must have."""

    def question(self, model: SentModel) -> RecordDict:
        """The content of a message with this model."""
        reference, config = self.federation.reference, self.federation.config
        expects = reference.specs(self.plan.trainable, config.sent_dtype)
        return TrainRequest(
            run=self.federation.run,
            base=reference.base.digest,
            plan=self.plan,
            expects=tuple(spec.to_line() for spec in expects),
            model=model,
        ).to_content()


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
    sending = federation.downlink.sending(
        federation.reference, config, plan.thawed, delta, plan.round
    )
    frozen = frozen_in_round(federation.reference, plan, sending.after)
    asking = _Asking(federation, plan, delta, sending, frozen)
    asked: list[Collected] = []
    aggregate: Arrays | None = None
    while aggregate is None:
        result, aggregate = _ask(asking, expected)
        asked.append(result)
        if aggregate is None:
            emit(RoundRetried(plan.round, len(result.replies), config.min_sites, len(asked)))
            if len(asked) > config.retries:
                raise RunError(_too_few(plan, config, result))
    finished = record_of(federation, plan, asked, time.monotonic() - started)
    # As a continued run reads it from the ledger: a site whose update was refused or clipped is
    # informed that it did not count.
    federation.downlink.sent(sending, config, finished.exact.counted, plan.trainable)
    return delta | aggregate, finished


def _ask(asking: _Asking, expected: Collection[str]) -> tuple[Collected, Arrays | None]:
    """Send the round to every site that is there and combine what comes back as it comes.

    None where too few replies are usable.
    """
    federation, plan = asking.federation, asking.plan
    config, reference = federation.config, federation.reference
    sites, result = _begin(asking, expected)
    current = select(reference, asking.delta, plan.trainable)
    agreement = agreement_of(reference, current) if shows_signals(config) else None
    with _intake(asking, current, agreement) as intake:
        _collect(asking, sites, intake, result)
        _apply(federation, intake, result)
        diverged = {name: result.refused[name] for name in result.diverged}
        require_usable_weights(diverged, len(sites), plan.round - 1)
        if len(result.replies) < config.min_sites:
            return result, None
        aggregate = _checked(federation, plan, intake.result())
    if agreement is not None:
        result.units = unit_signals(reference, current, aggregate, agreement)
    return result, aggregate


def _begin(
    asking: _Asking, expected: Collection[str]
) -> tuple[dict[int, SiteDescription], Collected]:
    """Wait for the sites; those that are to be asked by node, and who is left out."""
    federation, plan = asking.federation, asking.plan
    connected = wait_for_sites(federation, expected)
    sites = {n: site for n, site in connected.items() if site.name not in federation.excluded}
    absent, unable = federation.others([site.name for site in connected.values()])
    last = last_round(federation.config, plan.round, plan.position, plan.length)
    names = tuple(site.name for site in sites.values())
    emit(RoundStarted(plan, last, names, absent, unable))
    refused = unable | federation.excluded_of(connected)
    return sites, Collected(refused=refused, absent=absent)


def _collect(
    asking: _Asking, sites: Mapping[int, SiteDescription], intake: Intake, result: Collected
) -> None:
    """Ask these sites, and enter into `result` and `intake` what each of them answers."""
    federation = asking.federation
    delivery = Delivery(sites, asking.sending, federation.downlink.seen, asking.question)

    def read(node: int, content: RecordDict) -> TrainReply:
        return _take(asking, sites[node], content, intake)

    started = time.monotonic()
    for answer in federation.ask(
        delivery.contents(), MESSAGE_TYPE, str(asking.plan.round), read, delivery.further
    ):
        _enter(sites[answer.node].name, answer, result)
    result.bytes_down = delivery.bytes_down
    result.bytes_up += delivery.bytes_up
    result.wait_seconds = time.monotonic() - started
    # The whole model would have come back from the same sites, so replies count as messages.
    result.messages = len(sites) + len(result.replies)


def _intake(asking: _Asking, current: Arrays, agreement: Agreement | None) -> Intake:
    """Where a round's updates go, screened against the weights that the sites receive."""
    federation, plan, config = asking.federation, asking.plan, asking.federation.config
    base = federation.reference.base.state
    received = ((key, base[key].numpy() + value) for key, value in current.items())
    fitted = config.logistic_c if config.schedule == "logistic" else 0.0
    reach = Reach(stage_rates(config.network, plan.rates), config.optimizer != "sgd", fitted)
    screen = Screen.of(received, reach, config.update_screen_factor, config.network)
    rules = Rules(config.update_screen, config.max_weight_share)
    average = Average(federation.aggregator, plan.round, current, federation.folder)
    return Intake(average, screen, rules, agreement)


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


def _take(
    asking: _Asking, site: SiteDescription, content: RecordDict, intake: Intake
) -> TrainReply:
    """One site's reply, its tensors combined and then let go; ProtocolError where it is refused."""
    federation, plan = asking.federation, asking.plan
    config, reference = federation.config, federation.reference
    reply = read_train_reply(content, site, plan, asking.frozen, config.predicts)
    require_plausible_training(reply, site, config)
    require_own_units(reply, plan, config)
    manifest = reference.specs(plan.trainable, config.sent_dtype)
    statistics = batch_norm_statistics(reference.network)
    passage = Passage(config, federation.run, plan.round, site.name, statistics)
    arrays = receive(reply.delta, manifest, passage)
    weight = training_weight(reply, site)
    if weight < reply.images:
        federation.warn_once(
            f"{site.name} trains on more images than it had when it joined; in this run it "
            "counts as it did then."
        )
    intake.add(reply.site, arrays, weight, credited_steps(reply, site, config))
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
