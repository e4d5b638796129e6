"""The decisions of `schedule=adaptive`: pure functions of the rounds so far.

After each stretch of `patience` rounds: did it gain? The probe goes on while it does. Then the
last stage thaws; what has thawed trains on while that gains. Where it no longer does the next stage
thaws, and where that gains nothing either the run ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from server.run.ledger import RoundRecord
from shared.settings.adaptive import Place, probing_place, thawing_stages, tuning_place
from shared.settings.config import RunConfig

History = Sequence[RoundRecord]


def next_place(config: RunConfig, history: History) -> Place | None:
    """Where the round after these lies; None where the run ends before it."""
    done = len(history)
    probed = sum(record.plan["phase"] == "probe" for record in history)
    tuned = done - probed
    if tuned == 0:
        if probed < config.probe_rounds and not _probe_stalls(config, history):
            return probing_place(config, done + 1)
        return tuning_place(config, 0, 1, fresh=True) if config.rounds else None
    if tuned >= config.rounds:
        return None
    stages = _stages(config, history[-1])
    begin = done - tuned % config.patience
    if begin < done:
        return tuning_place(config, tuned, stages, fresh=False)
    if gained(config, history):
        return tuning_place(config, tuned, stages, fresh=False)
    if stages == len(thawing_stages(config)):
        return None
    return tuning_place(config, tuned, stages + 1, fresh=True)


def gained(config: RunConfig, history: History) -> bool:
    """Whether the stretch that these rounds end with lowered the loss; so too if it is unknown."""
    now, before = (_smoothed(config, h) for h in (history, history[: -config.patience]))
    return now is None or before is None or now < before


def _probe_stalls(config: RunConfig, history: History) -> bool:
    done = len(history)
    whole = done >= 2 * config.patience and done % config.patience == 0
    return whole and not gained(config, history)


def _smoothed(config: RunConfig, history: History) -> float | None:
    """The mean loss of the models that the last stretch made, as far as they are evaluated.

    A round evaluates the model that enters it, so the last model is not among them.
    """
    last = history[len(history) - config.patience + 1 :] if len(history) >= config.patience else []
    known = [r.signals.refined_loss for r in last if r.signals]
    losses = [loss for loss in known if loss is not None]
    return fmean(losses) if losses else None


def _stages(config: RunConfig, record: RoundRecord) -> int:
    """How many stages before the head a round trained."""
    trained = config.network.units_of(record.plan["trainable"])
    return sum(config.network.units_of([stage]) <= trained for stage in thawing_stages(config))
