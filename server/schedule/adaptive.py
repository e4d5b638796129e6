"""The decisions of `schedule=adaptive`: pure functions of the rounds so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from server.run.ledger import RoundRecord
from shared.settings.adaptive import cut_cycle, decisions
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan, plan_round, total_rounds

History = Sequence[RoundRecord]


def next_plan(config: RunConfig, history: History) -> Plan | None:
    """The plan of the round after these; None where the run ends before it."""
    done = len(history) - config.probe_rounds
    if len(history) == total_rounds(config):
        return None
    plan = plan_round(config, len(history) + 1)
    if done <= 0:
        return plan
    position, length = history[-1].plan["position"] + 1, history[-1].plan["length"]
    if position == length:
        return None
    if length == config.rounds and done in decisions(config) and not gained(config, history):
        position, length = cut_cycle(config, done, 0)
    return replace(plan, position=position, length=length)


def gained(config: RunConfig, history: History) -> bool:
    """Whether the stretch that these rounds end with lowered the loss; so too if it is unknown."""
    now, before = (_smoothed(config, h) for h in (history, history[: -config.patience]))
    return now is None or before is None or now < before


def _smoothed(config: RunConfig, history: History) -> float | None:
    """The mean loss of the models that the last stretch made, as far as they are evaluated.

    A round evaluates the model that enters it, so the last model is not among them.
    """
    last = history[len(history) - config.patience + 1 :]
    known = [record.signals.refined_loss for record in last if record.signals]
    losses = [loss for loss in known if loss is not None]
    return fmean(losses) if losses else None
