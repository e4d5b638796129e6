"""A round's plan as records."""

from __future__ import annotations

from typing import cast, get_args

from flwr.app import ConfigRecord

from shared.errors import ProtocolError
from shared.model.backbone import Backbone, Part
from shared.protocol.records import real, reals, text, texts, whole
from shared.settings.schedule import Phase, Plan

PlanValues = dict[str, int | float | str | list[str] | list[float]]


def plan_to_values(plan: Plan) -> PlanValues:
    """The plan as values of a ConfigRecord, and of a ledger's line."""
    return {
        "round": plan.round,
        "phase": plan.phase,
        "position": plan.position,
        "length": plan.length,
        "trainable": list(plan.trainable),
        "thawed": list(plan.thawed),
        "rates": [plan.rates[part] for part in plan.trainable],
        "cutmix-probability": plan.cutmix_probability,
    }


def plan_from_record(record: ConfigRecord, backbone: Backbone) -> Plan:
    """Read a plan for this backbone; ProtocolError where it is incomplete or contradictory."""
    trainable = read_parts(record, "trainable", backbone)
    if not trainable:
        raise ProtocolError("the plan trains nothing")
    rates = reals(record, "rates")
    if len(rates) != len(trainable):
        raise ProtocolError("the plan has not one learning rate for each part that trains")
    plan = Plan(
        round=whole(record, "round", minimum=1),
        phase=_phase(text(record, "phase")),
        position=whole(record, "position"),
        length=whole(record, "length", minimum=1),
        trainable=trainable,
        thawed=read_parts(record, "thawed", backbone),
        rates=dict(zip(trainable, rates, strict=True)),
        cutmix_probability=real(record, "cutmix-probability"),
    )
    if plan.cutmix_probability > 1:
        raise ProtocolError(f"the plan's CutMix probability is {plan.cutmix_probability}, above 1")
    if plan.position >= plan.length:
        raise ProtocolError(f"the plan's position {plan.position} lies outside {plan.length}")
    return plan


def _phase(value: str) -> Phase:
    for phase in get_args(Phase):
        if value == phase:
            return cast("Phase", phase)
    raise ProtocolError(f"the plan's phase is '{value}'; it must be {', '.join(get_args(Phase))}")


def read_parts(record: ConfigRecord, key: str, backbone: Backbone) -> tuple[Part, ...]:
    """A set of units, perhaps empty, as `Backbone.parts_of` writes it; ProtocolError for others."""
    parts = texts(record, key)
    try:
        expected = backbone.parts_of(backbone.units_of(parts))
    except ValueError as error:
        raise ProtocolError(f"{key} names {parts}: {error}") from None
    if parts != list(expected):
        raise ProtocolError(
            f"{key} names {parts}; it must name stages or units of {list(backbone.stages)}, in "
            "this order, and a stage once rather than all of its units"
        )
    return expected
