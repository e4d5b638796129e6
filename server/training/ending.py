"""The model that a run ends with: the last round's, or what its last rounds and the sites make."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from server.evaluation.candidates import choose_candidate
from server.evaluation.final_model import FinalModel
from server.federation.context import Federation
from server.results.ending import Ending, in_words
from server.run.checkpoint import Checkpoint
from shared.model.between import mean_with
from shared.run.events import Noted, emit
from shared.settings.config import RunConfig
from shared.settings.ending import averaged_rounds, probe_round
from shared.wire.arrays import Arrays


def with_ending(config: RunConfig, before: Checkpoint, after: Checkpoint) -> Checkpoint:
    """The checkpoint of a round with what the end needs of it and of the rounds before.

    It is a function of the rounds alone, so that a continued run ends with the same bytes.
    """
    if config.end == "last":
        return after
    rounds, number = averaged_rounds(config), after.round
    mean: Arrays = {}
    if number in rounds and len(rounds) > 1:
        mean = mean_with(before.mean, number - rounds[0], after.delta)
    head = probe_round(config)
    probe = before.probe if head is None or number != head else after.delta
    return replace(after, mean=mean, probe=dict(probe))


def conclude(
    federation: Federation, last: Checkpoint, expected: Collection[str]
) -> tuple[FinalModel, Ending | None]:
    """The final model, and how it came about; None with end=last.

    Raises as `choose_candidate`.
    """
    config = federation.config
    if config.end == "last":
        return FinalModel(last.delta), None
    rounds, head = averaged_rounds(config), probe_round(config)
    end = last.mean if len(rounds) > 1 else last.delta
    federation.downlink.take_instead(federation.reference, last.delta, end)
    if head is None:
        return FinalModel(end), Ending((rounds[0], rounds[-1]))
    ending, model = choose_candidate(federation, last.probe, end, last.round, head, expected)
    emit(Noted(in_words(ending)))
    return model, ending
