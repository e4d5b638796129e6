"""Candidates for the final model at the sites' validation patients, and the choice of one.

The candidates lie on the straight line between two models, so these two are sent once, in the
dtype of the rounds, and the second only as far as it has changed; counts come back. Which is chosen
depends on the sums over all sites alone.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from flwr.app import RecordDict

from server.evaluation.everybody import Answers, Ask, ask_everybody
from server.evaluation.final_model import FinalModel, point
from server.federation.context import Federation
from server.federation.plausible import require_plausible_evaluation
from server.federation.replies import require_name
from server.results.ending import CandidateResult, Choice, Ending
from shared.metrics.classes.kinds import Counts
from shared.metrics.log_loss import LogLoss, log_loss
from shared.model.backbone import Part
from shared.outcome.counts import summed_counts
from shared.protocol.candidates import MESSAGE_TYPE, CandidatesReply, CandidatesRequest
from shared.protocol.describe import SiteDescription
from shared.protocol.sent_model import SentModel
from shared.settings.ending import SHARES
from shared.wire.arrays import Arrays


@dataclass(frozen=True)
class Between:
    """The two models between which the final one lies, as deltas to the base."""

    start: Arrays
    """The probe's last model."""
    end: Arrays
    """The mean of the last rounds' models."""
    rounds: int
    probe_round: int
    averaged: tuple[int, int]
    """First and last of the rounds whose mean the end is."""
    thawed: tuple[Part, ...]
    """What may differ from the base at the end."""


def choose_candidate(
    federation: Federation,
    models: Between,
    expected: Collection[str] = (),
) -> tuple[Ending, FinalModel]:
    """Which point between these two models the sites' patients choose.

    Those that answer decide; raises as `ask_everybody`.
    """
    started = time.monotonic()
    ends = point(federation, models.start)

    def question(sent: SentModel) -> RecordDict:
        return CandidatesRequest(
            run=federation.run,
            base=federation.reference.base.digest,
            after_round=models.rounds,
            probed=ends.probed,
            shares=SHARES,
            start=ends.start,
            model=sent,
        ).to_content()

    def read(site: SiteDescription, content: RecordDict) -> CandidatesReply:
        reply = CandidatesReply.from_content(content, len(SHARES), federation.config.predicts)
        require_name(reply.site, site.name)
        require_plausible_evaluation(reply.counts[0], site, federation.config, "validation")
        return reply

    done, without = "evaluated the candidates", "the choice of the final model"
    end = FinalModel(models.end, models.thawed)
    sending = end.sending(federation)
    ask = Ask(sending, question, MESSAGE_TYPE, "candidates", models.rounds, read, done, without)
    answers = ask_everybody(federation, ask, expected)
    choice = _choice(federation, models.probe_round, answers)
    ending = Ending(
        averaged=models.averaged,
        choice=choice,
        bytes_down=answers.bytes_down,
        bytes_up=answers.bytes_up,
        seconds=time.monotonic() - started,
        evaluate_seconds=sum(reply.seconds for reply in answers.replies.values()),
    )
    return ending, replace(end, nearer=replace(ends, share=choice.share))


def _choice(federation: Federation, probe_round: int, answers: Answers[CandidatesReply]) -> Choice:
    replies = dict(sorted(answers.replies.items()))
    outcome = federation.config.predicts
    pooled = [
        summed_counts(outcome, (r.counts[n] for r in replies.values())) for n in range(len(SHARES))
    ]
    losses = [log_loss(one) for one in pooled]
    return Choice(
        probe_round=probe_round,
        share=chosen(losses),
        candidates=shown_candidates(federation, replies, losses),
        sites=tuple(replies),
        missing=answers.missing,
    )


HALF_WAY = 0.5
"""What Wortsman et al. (WiSE-FT, CVPR 2022) recommend where no further data can tell."""


def chosen(losses: Sequence[LogLoss | None], shares: Sequence[float] = SHARES) -> float:
    """The share nearest to half-way of those whose log-loss is within one standard error of the
    smallest; of two as near the farther one, and half-way where there are no patients.

    A few dozen validation patients cannot tell most candidates apart, so that the smallest loss is
    chance: half-way is what holds unless their counts speak against it.
    """
    known = [(loss, share) for loss, share in zip(losses, shares, strict=True) if loss is not None]
    if not known:
        return HALF_WAY
    best, _ = min(known, key=lambda one: one[0].mean)
    within = [share for loss, share in known if loss.mean <= best.mean + best.error]
    return min(within, key=lambda share: (abs(share - HALF_WAY), -share))


def shown_candidates(
    federation: Federation,
    replies: Mapping[str, CandidatesReply],
    losses: Sequence[LogLoss | None],
) -> tuple[CandidateResult, ...]:
    """Sums over all sites as far as they may be shown; no site's own, to nobody."""
    own = {name for name, reply in replies.items() if reply.suppress}
    found = []
    for number, share in enumerate(SHARES):
        counts: dict[str, Counts] = {n: reply.counts[number] for n, reply in replies.items()}
        cohort = federation.disclosure.cohort(
            "validation", counts, own, federation.data_of(replies)
        )
        mean, error = federation.disclosure.log_loss(losses[number], cohort)
        found.append(CandidateResult(share, mean, error, cohort.pooled["auroc"]))
    return tuple(found)
