"""The model that a run ends with: the last round's, or what its last rounds and the sites make."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from server.evaluation.candidates import Between, choose_candidate
from server.evaluation.final_model import FinalModel
from server.federation.context import Federation
from server.results.ending import Ending, in_words
from server.run.checkpoint import Checkpoint
from server.run.ledger import RoundRecord
from shared.model.between import mean_with
from shared.run.events import Noted, emit
from shared.settings.config import RunConfig
from shared.settings.ending import averaged_rounds, stays_near_probe
from shared.settings.schedule import Plan, last_round, stages_ever_thawed
from shared.wire.arrays import Arrays


def with_ending(config: RunConfig, plan: Plan, before: Checkpoint, after: Checkpoint) -> Checkpoint:
    """The checkpoint of a round with what the end needs of it and of the rounds before.

    It is a function of the rounds alone, so that a continued run ends with the same bytes.
    """
    if config.end == "last":
        return after
    rounds, number = _mean_of(config, plan.round, plan.position, plan.length), after.round
    mean: Arrays = {}
    if number in rounds and len(rounds) > 1:
        mean = mean_with(before.mean, number - rounds[0], after.delta)
    probe = after.delta if stays_near_probe(config) and plan.phase != "fine-tune" else before.probe
    return replace(after, mean=mean, probe=dict(probe))


def conclude(
    federation: Federation,
    records: Sequence[RoundRecord],
    last: Checkpoint,
    expected: Collection[str],
) -> tuple[FinalModel, Ending | None]:
    """The final model, and how it came about; None with end=last.

    Raises as `choose_candidate`.
    """
    config = federation.config
    if config.end == "last":
        return FinalModel(last.delta, stages_ever_thawed(config, last.round)), None
    plan, thawed = records[-1].plan, stages_ever_thawed(config, last.round)
    rounds = _mean_of(config, last.round, plan["position"], plan["length"])
    end = last.mean if len(rounds) > 1 else last.delta
    averaged = rounds[0], rounds[-1]
    federation.downlink.take_instead(federation.reference, last.delta, end)
    if not stays_near_probe(config):
        return FinalModel(end, thawed), Ending(averaged)
    probed = sum(record.plan["phase"] != "fine-tune" for record in records)
    between = Between(last.probe, end, last.round, probed, averaged, thawed)
    ending, model = choose_candidate(federation, between, expected)
    emit(Noted(in_words(ending)))
    return model, ending


def _mean_of(config: RunConfig, number: int, position: int, length: int) -> range:
    """The rounds whose models are averaged should the run end with the cycle of this round."""
    return averaged_rounds(config, last_round(config, number, position, length))
