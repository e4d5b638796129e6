"""From the number of a round to what that round trains, as far as the settings say.

With `schedule=dynamics` they say how much may train and at which rates; which units these are is
decided as the run goes (`server/schedule`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from shared.model.backbone import Part
from shared.settings.adaptive import cut_cycles, decisions, ends_after_cut, thawing_stages
from shared.settings.config import RunConfig
from shared.settings.dynamics import Budget, Sizes, candidates, expected_units, typical_units

Phase = Literal["probe", "dual", "fine-tune"]
"""Dual: two branches learn from an image and from its augmented version, before they are joined."""


@dataclass(frozen=True)
class Plan:
    """What the coordinator asks of one round.

    `position` counts the rounds of the phase from 0, `length` is how many it has: a site computes
    its learning rate from these and its own step, so sites of different size stay in phase.
    """

    round: int
    phase: Phase
    position: int
    length: int
    trainable: tuple[Part, ...]
    """The units that train, any set of them, as `Backbone.parts_of` writes it."""
    thawed: tuple[Part, ...]
    """Units that may differ from the base when the round begins; their deltas are sent."""
    rates: Mapping[Part, float]
    """Maximum learning rate of each part that trains."""
    cutmix_probability: float


def total_rounds(config: RunConfig) -> int:
    """All rounds of a run, probe rounds included; a logistic regression is fitted in one."""
    return 1 if config.schedule == "logistic" else config.probe_rounds + config.rounds


def may_end_early(config: RunConfig) -> bool:
    """Whether a run may end before its last round, because further rounds gain nothing."""
    return config.schedule == "adaptive" and len(decisions(config)) > 0


def last_round(config: RunConfig, number: int, position: int, length: int) -> int:
    """The last round of a run, as far as it is known from where this round lies in its phase.

    With schedule=adaptive a cut brings it forward.
    """
    if config.schedule != "adaptive" or number <= config.probe_rounds:
        return total_rounds(config)
    return number - position + length - 1


def decides_as_it_goes(config: RunConfig, round_number: int) -> bool:
    """Whether more than the settings decides what this round trains."""
    return config.schedule == "dynamics" and round_number > config.probe_rounds


def shows_signals(config: RunConfig) -> bool:
    """Whether the ledger has what the units that trained showed in each round."""
    return config.schedule in ("dynamics", "adaptive")


def measures_noise(config: RunConfig) -> bool:
    """Whether sites send how noisy the gradients of each unit were; only Adam remembers it."""
    return shows_signals(config) and config.optimizer == "adamw"


def plan_round(config: RunConfig, round_number: int) -> Plan:
    """The plan of round 1 ... total_rounds; ValueError outside.

    Of a round that is decided as the run goes, a typical plan: as many units as freeze-rate leaves,
    spread evenly, after rounds that have trained each of them. With schedule=adaptive the
    plan of a run that nothing has cut short.
    """
    stages = trainable_stages(config, round_number - 1)
    units = config.network.units_of
    before = stages_ever_thawed(config, round_number - 1)
    return plan_of_units(config, round_number, units(stages), units(before))


def expected_plan(config: RunConfig, round_number: int, sizes: Sizes) -> Plan:
    """`plan_round` for estimates of time: with a typical plan that keeps to round-budget too.

    `sizes` are those of the network's units.
    """
    plan = plan_round(config, round_number)
    if not decides_as_it_goes(config, round_number):
        return plan
    network = config.network
    units = {*expected_units(config, sizes), network.head}
    return plan_of_units(config, round_number, units, network.units_of(plan.thawed))


def plan_of_units(
    config: RunConfig, round_number: int, units: Collection[str], thawed: Collection[str]
) -> Plan:
    """The plan of round 1 ... total_rounds in which these units train; ValueError outside.

    `thawed` are those that may differ from the base.
    """
    if not 1 <= round_number <= total_rounds(config):
        raise ValueError(f"round {round_number} is outside 1 to {total_rounds(config)}")
    if config.schedule == "logistic":
        return _plan_of_fit(config)
    index = round_number - 1
    probing = index < config.probe_rounds
    network = config.network
    parts = network.parts_of(units)
    first: Phase = "dual" if config.schedule == "dual" else "probe"
    return Plan(
        round=round_number,
        phase=first if probing else "fine-tune",
        position=index if probing else index - config.probe_rounds,
        length=config.probe_rounds if probing else config.rounds,
        trainable=parts,
        # The initial head is drawn by the coordinator, so it is sent from the first round on.
        thawed=network.parts_of({*thawed, network.head}),
        rates={part: maximum_rate(config, part, probing=probing) for part in parts},
        cutmix_probability=0.0 if probing else config.cutmix_probability,
    )


def allows(config: RunConfig, plan: Plan, sizes: Sizes) -> bool:
    """Whether the settings allow this plan, for a network of these sizes.

    They allow one plan a round, and with schedule=adaptive those after a cut; where units are
    chosen as the run goes, each that keeps to the budget.
    """
    if not 1 <= plan.round <= total_rounds(config):
        return False
    if not decides_as_it_goes(config, plan.round):
        usual = plan_round(config, plan.round)
        return plan == usual or (
            config.schedule == "adaptive"
            and (plan.position, plan.length) in cut_cycles(config, plan.round)
            and plan == replace(usual, position=plan.position, length=plan.length)
        )
    network, units = config.network, frozenset(candidates(config))
    trained, thawed = network.units_of(plan.trainable), network.units_of(plan.thawed)
    chosen = trained - {network.head}
    return (
        network.head in trained
        and chosen <= units
        and thawed <= {*units, network.head}
        and Budget.of(config, sizes).admits(chosen, sizes)
        and plan == plan_of_units(config, plan.round, trained, thawed)
    )


def _plan_of_fit(config: RunConfig) -> Plan:
    """The only round of a logistic regression, which has no learning rate."""
    head = config.network.head
    return Plan(
        round=1,
        phase="probe",
        position=0,
        length=1,
        trainable=(head,),
        thawed=(head,),
        rates={head: 0.0},
        cutmix_probability=0.0,
    )


def trainable_stages(config: RunConfig, index: int) -> tuple[Part, ...]:
    """What trains in the round with this index, counted from 0 over both phases.

    Of a round that is decided as the run goes, what is typical (`plan_round`).
    """
    fine_tuning, network = index - config.probe_rounds, config.network
    if fine_tuning < 0 and config.schedule == "dual":
        return (*network.branches, network.head)
    if fine_tuning < 0 or config.schedule in ("probe", "logistic"):
        return (network.head,)
    if config.schedule == "full":
        return network.stages
    if config.schedule == "dynamics":
        return network.parts_of({*typical_units(config), network.head})
    if config.schedule == "adaptive":
        training = (*thawing_stages(config), network.head)
        return tuple(stage for stage in network.stages if stage in training)
    thaws = config.thaws
    return tuple(
        stage
        for stage in network.stages
        if stage == network.head
        or (stage in thaws and fine_tuning >= thaw_index(thaws[stage], config.rounds))
    )


def thaw_index(share: float, rounds: int) -> int:
    """The fine-tuning round, from 0, in which a stage thaws: the floor of its share of the rounds.

    The share is a decimal that binary floats miss by a hair (0.29 x 100), hence the rounding.
    """
    return math.floor(round(share * rounds, 9))


def stages_ever_thawed(config: RunConfig, after_round: int) -> tuple[Part, ...]:
    """The units that may differ from the base once `after_round` rounds are done."""
    network = config.network
    if config.schedule == "dynamics" and decides_as_it_goes(config, after_round):
        return network.parts_of({*candidates(config), network.head})
    trained = trainable_stages(config, after_round - 1) if after_round > 0 else ()
    if after_round > 0 and config.schedule == "dual" and config.probe_rounds:
        trained += config.network.branches  # which pause where the layers behind them train
    return network.parts_of(network.units_of({*trained, network.head}))


def may_end(config: RunConfig, after_round: int, thawed: tuple[Part, ...]) -> bool:
    """Whether a run may end after this round with these units changed, as far as settings say."""
    ends = [total_rounds(config)]
    if config.schedule == "adaptive":
        ends += ends_after_cut(config)
    return after_round in ends and thawed == stages_ever_thawed(config, after_round)


def trains_body(config: RunConfig) -> bool:
    """Whether the run ever trains more than the head."""
    return stages_ever_thawed(config, total_rounds(config)) != (config.network.head,)


def statistics_stay_at_sites(config: RunConfig) -> bool:
    """Whether sites evaluate with BatchNorm statistics that the final model does not have."""
    return config.batch_norm == "local" and trains_body(config)


def maximum_rate(config: RunConfig, part: Part, *, probing: bool) -> float:
    """The peak learning rate of a part: its stage's, else that of the next stage that has one."""
    network, rates = config.network, config.stage_rates
    stage = network.units[network.position(part)].stage
    if stage == network.head:
        return config.lr_probe if probing else config.lr_head
    place = network.stages.index(stage)
    own = [rates[later] for later in network.stages[place:] if later in rates]
    return own[0] if own else config.lr_head
