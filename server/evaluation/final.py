"""After the last round: the final model at the sites."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from flwr.app import RecordDict

from server.disclosure.cohorts import ShownCohort
from server.evaluation.grades import compare_with_grades
from server.federation.asking import Problem
from server.federation.context import Federation
from server.federation.global_model import select
from server.federation.plausible import require_plausible_evaluation
from server.federation.quorum import wait_for_sites
from server.federation.replies import list_problems, read_evaluate_reply, require_usable_weights
from server.run.summary import FinalEvaluation, HeldOutEvaluation
from shared.errors import RunError
from shared.metrics.histogram import Histogram, summed
from shared.protocol.describe import SiteDescription
from shared.protocol.evaluate import MESSAGE_TYPE, EvaluateReply, EvaluateRequest, Scope
from shared.run.events import ReplyReceived, Warned, emit
from shared.settings.schedule import stages_ever_thawed
from shared.wire.arrays import Arrays, encode
from shared.wire.size import serialized_size


@dataclass(frozen=True)
class Answers:
    """What the sites said of one cohort, and what asking them took."""

    replies: Mapping[str, EvaluateReply]
    missing: Mapping[str, str]
    """Sites that did not answer, and why."""
    asked: int
    bytes_down: int
    bytes_up: int


def evaluate_final(
    federation: Federation,
    delta: Arrays,
    rounds: int,
    expected: Collection[str] = (),
) -> FinalEvaluation:
    """The model after the last round at every site that is there; with folds, of both cohorts.

    A site that fails is asked again `retries` times, then named as
    missing; RunError where fewer than `min-sites` answered.
    """
    started = time.monotonic()
    scopes: tuple[Scope, ...] = (
        ("validation", "test") if federation.config.folds else ("validation",)
    )
    answers = {
        scope: _ask(federation, delta, rounds, scope, expected, last=scope == scopes[-1])
        for scope in scopes
    }
    cohorts = {scope: _shown(federation, scope, one.replies) for scope, one in answers.items()}
    covariates = {
        scope: compared
        for scope, one in answers.items()
        if (compared := compare_with_grades(federation, scope, one.replies, cohorts[scope].hidden))
    }
    disclosure = federation.disclosure
    validation, test = cohorts["validation"], cohorts.get("test")
    return FinalEvaluation(
        pooled=validation.pooled,
        sites=validation.sites,
        test=HeldOutEvaluation(test.pooled, test.sites) if test else None,
        covariates={scope: disclosure.grade(one.to_json()) for scope, one in covariates.items()},
        counts=disclosure.evaluation(
            cohorts, {scope: compared.counts for scope, compared in covariates.items()}
        ),
        validation=_summed(federation, answers["validation"].replies),
        missing={name: why for one in answers.values() for name, why in one.missing.items()},
        bytes_down=sum(one.bytes_down for one in answers.values()),
        bytes_up=sum(one.bytes_up for one in answers.values()),
        bytes_full_exchange=sum(one.asked for one in answers.values())
        * federation.full_model_bytes,
        seconds=time.monotonic() - started,
        evaluate_seconds=sum(r.seconds for one in answers.values() for r in one.replies.values()),
    )


def _summed(federation: Federation, replies: Mapping[str, EvaluateReply]) -> Histogram:
    """All patients by score, of a finding; nobody of another outcome."""
    histograms = [reply.histogram for reply in replies.values()]
    return summed(one for one in histograms if isinstance(one, Histogram))


def _shown(
    federation: Federation, scope: Scope, replies: Mapping[str, EvaluateReply]
) -> ShownCohort:
    return federation.disclosure.cohort(
        scope,
        {name: reply.histogram for name, reply in replies.items()},
        {name for name, reply in replies.items() if reply.suppress},
        federation.data_of(replies),
    )


def _ask(
    federation: Federation,
    delta: Arrays,
    rounds: int,
    scope: Scope,
    expected: Collection[str],
    *,
    last: bool,
) -> Answers:
    config, stages = federation.config, stages_ever_thawed(federation.config, rounds)
    specs = federation.reference.specs(stages)  # float32: what is evaluated is model.safetensors
    content = EvaluateRequest(
        run=federation.run,
        base=federation.reference.base.digest,
        scope=scope,
        after_round=rounds,
        thawed=stages,
        final=last,
        delta=encode(select(federation.reference, delta, stages), specs).record,
    ).to_content()
    replies: dict[str, EvaluateReply] = {}
    missing: dict[str, str] = {}
    up = asked = 0
    for _ in range(config.retries + 1):
        here = wait_for_sites(federation, expected)
        missing = federation.excluded_of(here)
        sites = {
            n: site
            for n, site in here.items()
            if site.name not in replies and site.name not in federation.excluded
        }
        if not sites:
            break
        asked += len(sites)
        missing |= dict.fromkeys((site.name for site in sites.values()), "no reply in time")
        diverged: dict[str, str] = {}
        up += _collect(federation, content, scope, sites, replies, missing, diverged)
        require_usable_weights(diverged, len(sites), rounds)
    if len(replies) < config.min_sites:
        raise RunError(
            f"{len(replies)} of at least {config.min_sites} sites evaluated the final model. "
            f"{list_problems(missing)}. All rounds are kept: fix this and continue with --resume."
        )
    absent = {site.name for site in federation.roster.sites.values()} - set(replies)
    _, unable = federation.others(list(replies))
    missing = {name: unable.get(name, "not connected") for name in absent} | missing
    for name, why in sorted(missing.items()):
        emit(Warned(f"{name} is not in the final evaluation: {why.rstrip('.')}."))
    return Answers(replies, missing, asked, serialized_size(content) * asked, up)


def _collect(
    federation: Federation,
    content: RecordDict,
    scope: Scope,
    sites: Mapping[int, SiteDescription],
    replies: dict[str, EvaluateReply],
    missing: dict[str, str],
    diverged: dict[str, str],
) -> int:
    """Ask these sites once and enter what they say; returns the bytes received.

    `diverged` are those of `missing` that the model is of no use to.
    """
    received = 0

    def read(node: int, content: RecordDict) -> EvaluateReply:
        reply = read_evaluate_reply(content, sites[node].name, federation.config.predicts)
        require_plausible_evaluation(reply.histogram, sites[node], federation.config, scope)
        return reply

    for answer in federation.ask(sites, content, MESSAGE_TYPE, "final", read):
        name = sites[answer.node].name
        received += answer.bytes
        if isinstance(answer.said, Problem):
            missing[name] = answer.said.reason
            if answer.said.diverged:
                diverged[name] = answer.said.reason
        else:
            replies[name] = answer.said
            missing.pop(name)
        emit(ReplyReceived(name, missing.get(name)))
    return received
