"""From the number of a round to what that round trains.

A policy is a function of the round and of the history so far; the policies here look at the round
alone, a later one may decide from the federation's own validation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.model.backbone import Part
from shared.settings.config import RunConfig

Phase = Literal["probe", "dual", "fine-tune"]
"""Dual: two branches learn from an image and from its augmented version, before they are joined."""
History = Sequence[float | None]
"""Pooled validation AUROC of the model that entered each earlier round; None where undefined."""


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


Policy = Callable[[int, History], Plan]


def total_rounds(config: RunConfig) -> int:
    """All rounds of a run, probe rounds included."""
    return config.probe_rounds + config.rounds


def policy_for(config: RunConfig) -> Policy:
    """The policy that `schedule` names."""

    def policy(round_number: int, history: History) -> Plan:
        return plan_round(config, round_number)

    return policy


def plan_round(config: RunConfig, round_number: int) -> Plan:
    """The plan of round 1 ... total_rounds; ValueError outside."""
    if not 1 <= round_number <= total_rounds(config):
        raise ValueError(f"round {round_number} is outside 1 to {total_rounds(config)}")
    index = round_number - 1
    probing = index < config.probe_rounds
    stages = trainable_stages(config, index)
    first: Phase = "dual" if config.schedule == "dual" else "probe"
    return Plan(
        round=round_number,
        phase=first if probing else "fine-tune",
        position=index if probing else index - config.probe_rounds,
        length=config.probe_rounds if probing else config.rounds,
        trainable=stages,
        # The initial head is drawn by the coordinator, so it is sent from the first round on.
        thawed=stages_ever_thawed(config, index),
        rates={stage: maximum_rate(config, stage, probing=probing) for stage in stages},
        cutmix_probability=0.0 if probing else config.cutmix_probability,
    )


def trainable_stages(config: RunConfig, index: int) -> tuple[Part, ...]:
    """The stages that train in the round with this index, counted from 0 over both phases."""
    fine_tuning, network = index - config.probe_rounds, config.network
    if fine_tuning < 0 and config.schedule == "dual":
        return (*network.branches, network.head)
    if fine_tuning < 0 or config.schedule == "probe":
        return (network.head,)
    if config.schedule == "full":
        return network.stages
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
    trained = trainable_stages(config, after_round - 1) if after_round > 0 else ()
    if after_round > 0 and config.schedule == "dual" and config.probe_rounds:
        trained += config.network.branches  # which pause where the layers behind them train
    network = config.network
    return network.parts_of(network.units_of({*trained, network.head}))


def trains_body(config: RunConfig) -> bool:
    """Whether the run ever trains more than the head."""
    return stages_ever_thawed(config, total_rounds(config)) != (config.network.head,)


def statistics_stay_at_sites(config: RunConfig) -> bool:
    """Whether sites evaluate with BatchNorm statistics that the final model does not have."""
    return config.batch_norm == "local" and trains_body(config)


def maximum_rate(config: RunConfig, stage: str, *, probing: bool) -> float:
    """The peak learning rate of a stage: its own, else that of the next stage that has one."""
    network, rates = config.network, config.stage_rates
    if stage == network.head:
        return config.lr_probe if probing else config.lr_head
    place = network.stages.index(stage)
    own = [rates[later] for later in network.stages[place:] if later in rates]
    return own[0] if own else config.lr_head
