"""After the last round: the final model at the sites."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from flwr.app import RecordDict

from server.disclosure.cohorts import ShownCohort
from server.evaluation.everybody import Answers, Ask, ask_everybody
from server.evaluation.grades import compare_with_grades
from server.federation.context import Federation
from server.federation.global_model import select
from server.federation.plausible import require_plausible_evaluation
from server.federation.replies import read_evaluate_reply
from server.run.summary import FinalEvaluation, HeldOutEvaluation
from shared.metrics.histogram import Histogram, summed
from shared.model.backbone import Part
from shared.protocol.describe import SiteDescription
from shared.protocol.evaluate import MESSAGE_TYPE, EvaluateReply, EvaluateRequest, Scope
from shared.settings.schedule import stages_ever_thawed
from shared.wire.arrays import Arrays, encode


def evaluate_final(
    federation: Federation,
    delta: Arrays,
    rounds: int,
    expected: Collection[str] = (),
    thawed: tuple[Part, ...] = (),
) -> FinalEvaluation:
    """The model after the last round at every site that is there; with folds, of both cohorts.

    It differs from the base in `thawed` alone, by default in what the settings imply.

    A site that fails is asked again `retries` times, then named as
    missing; RunError where fewer than `min-sites` answered.
    """
    started = time.monotonic()
    thawed = thawed or stages_ever_thawed(federation.config, rounds)
    scopes: tuple[Scope, ...] = (
        ("validation", "test") if federation.config.folds else ("validation",)
    )
    answers = {
        scope: _ask(federation, delta, rounds, thawed, scope, expected, last=scope == scopes[-1])
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
    stages: tuple[Part, ...],
    scope: Scope,
    expected: Collection[str],
    *,
    last: bool,
) -> Answers[EvaluateReply]:
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

    def read(site: SiteDescription, content: RecordDict) -> EvaluateReply:
        reply = read_evaluate_reply(content, site.name, federation.config.predicts)
        require_plausible_evaluation(reply.histogram, site, federation.config, scope)
        return reply

    done, without = "evaluated the final model", "the final evaluation"
    ask = Ask(content, MESSAGE_TYPE, "final", rounds, read, done, without)
    return ask_everybody(federation, ask, expected)
