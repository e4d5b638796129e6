"""A round's plan as records."""

from __future__ import annotations

from flwr.app import ConfigRecord

from shared.errors import ProtocolError
from shared.protocol.records import real, reals, text, texts, whole
from shared.schedule import STAGES, Phase, Plan, Stage

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
        "rates": [plan.rates[stage] for stage in plan.trainable],
        "cutmix-probability": plan.cutmix_probability,
    }


def plan_from_record(record: ConfigRecord) -> Plan:
    """Read a plan; ProtocolError where it is incomplete or contradicts itself."""
    trainable = _stages(record, "trainable")
    rates = reals(record, "rates")
    if len(rates) != len(trainable):
        raise ProtocolError("the plan has not one learning rate for each trainable stage")
    plan = Plan(
        round=whole(record, "round", minimum=1),
        phase=_phase(text(record, "phase")),
        position=whole(record, "position"),
        length=whole(record, "length", minimum=1),
        trainable=trainable,
        thawed=_stages(record, "thawed"),
        rates=dict(zip(trainable, rates, strict=True)),
        cutmix_probability=real(record, "cutmix-probability"),
    )
    if plan.cutmix_probability > 1:
        raise ProtocolError(f"the plan's CutMix probability is {plan.cutmix_probability}, above 1")
    if plan.position >= plan.length:
        raise ProtocolError(f"the plan's position {plan.position} lies outside {plan.length}")
    return plan


def _phase(value: str) -> Phase:
    if value == "probe":
        return "probe"
    if value == "fine-tune":
        return "fine-tune"
    raise ProtocolError(f"the plan's phase is '{value}', neither probe nor fine-tune")


def _stages(record: ConfigRecord, key: str) -> tuple[Stage, ...]:
    stages = texts(record, key)
    if not stages or stages != [stage for stage in STAGES if stage in stages]:
        raise ProtocolError(
            f"the plan's {key} stages are {stages}; they must be of {list(STAGES)}, in this order"
        )
    return tuple(stages)
