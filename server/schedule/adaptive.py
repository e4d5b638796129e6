"""The decisions of `schedule=adaptive`: pure functions of the rounds so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from server.run.ledger import RoundRecord
from shared.settings.adaptive import cut_cycle, decisions
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan, plan_round, total_rounds

History = Sequence[RoundRecord]


@dataclass(frozen=True)
class Stretch:
    """Rounds after which the coordinator decided whether the run goes on."""

    first: int
    last: int
    loss: float | None
    """The mean of what was compared; None where nothing could be, or it is not shown."""
    before: float | None
    """The same of the stretch before."""
    cut: bool
    """Whether the run was cut short then."""
    comparable: bool = True
    """Whether rounds of both stretches had the same sites, whatever of them may be shown."""
    has_learned: bool = True
    """Whether the scores told the patients apart by then, where training began from nothing; if
    not, the run goes on."""


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
    if length == config.rounds and done in decisions(config) and is_done(config, history):
        position, length = cut_cycle(config, done, 0)
    return replace(plan, position=position, length=length)


def is_done(config: RunConfig, history: History) -> bool:
    """Whether the stretch that these rounds end with gained nothing; False where it is unknown.

    A network that begins from nothing and has learned nothing yet gains nothing either: it is not
    done.
    """
    found = _compared(config, history)
    return found is not None and found.loss >= found.before and found.has_learned


def stretches(config: RunConfig, history: History) -> list[Stretch]:
    """Each stretch of these rounds after which the coordinator decided; none of other schedules."""
    found: list[Stretch] = []
    if config.schedule != "adaptive":
        return found
    for done in decisions(config):
        last = config.probe_rounds + done
        if len(history) <= last or history[last - 1].plan["length"] < config.rounds:
            break  # not decided yet, or cut short before
        first, cut = last - config.patience + 1, history[last].plan["length"] < config.rounds
        same = _has_same_sites(config, history[:last])
        one = _compared(config, history[:last])
        if one is None:
            found.append(Stretch(first, last, None, None, cut, same))
        else:
            found.append(Stretch(first, last, one.loss, one.before, cut, same, one.has_learned))
    return found


@dataclass(frozen=True)
class _Compared:
    """The mean losses of a stretch and of the one before."""

    loss: float
    before: float
    has_learned: bool
    """Whether the stretch's scores told the patients apart; so too where that is unknown, or where
    training began from pretrained weights."""


def _compared(config: RunConfig, history: History) -> _Compared | None:
    """The last stretch beside the one before; None where their losses are unknown.

    Other patients have another loss, whatever the model: of both stretches the rounds with the same
    sites count, with as many sites as there are such.
    """
    now, before = (_losses(config, h) for h in (history, history[: -config.patience]))
    alike = now.keys() & before.keys()
    if not alike:
        return None
    sites = max(alike, key=lambda names: (len(names), sorted(names)))
    loss = fmean(now[sites])
    if config.weights != "random":
        # Few patients may not show what a pretrained network has learned.
        return _Compared(loss, fmean(before[sites]), has_learned=True)
    chance = [
        record.signals.chance_loss
        for record in _evaluated(config, history)
        if frozenset(record.sites) == sites and record.signals is not None
    ]
    known = [one for one in chance if one is not None]
    return _Compared(loss, fmean(before[sites]), not known or loss < fmean(known))


def _has_same_sites(config: RunConfig, history: History) -> bool:
    """Whether any rounds that count for the last stretch and the one before had the same sites."""
    now, before = (
        {frozenset(record.sites) for record in _evaluated(config, h)}
        for h in (history, history[: -config.patience])
    )
    return bool(now & before)


def _evaluated(config: RunConfig, history: History) -> History:
    """The rounds that evaluated a model which the last stretch made.

    A round evaluates the model that enters it, so the last model is not among them.
    """
    return history[len(history) - config.patience + 1 :]


def _losses(config: RunConfig, history: History) -> dict[frozenset[str], list[float]]:
    """The losses of the models that the last stretch made, as far as they are evaluated, by the
    sites that did.
    """
    found: dict[frozenset[str], list[float]] = {}
    for record in _evaluated(config, history):
        if record.signals and (loss := record.signals.refined_loss) is not None:
            found.setdefault(frozenset(record.sites), []).append(loss)
    return found
