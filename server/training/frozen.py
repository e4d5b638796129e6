"""What the units that a round does not train must hash to, at every site."""

from __future__ import annotations

from server.federation.global_model import Reference, expected_frozen_digest, full_state
from shared.model.freezing import proven_keys, state_digest
from shared.settings.schedule import Plan
from shared.wire.arrays import Arrays


def frozen_in_round(reference: Reference, plan: Plan, received: Arrays) -> str:
    """The digest that each reply of this round must carry.

    Units that never trained still equal the base. Those that trained before and are frozen in this
    round are as the sites `received` them, which may be rounded.
    """
    backbone = reference.network.backbone
    if backbone.units_of(plan.thawed) <= backbone.units_of(plan.trainable):
        return expected_frozen_digest(reference, plan.trainable)
    state = full_state(reference, received)
    keys = proven_keys(reference.network, plan.trainable, plan.thawed, reference.batch_norm)
    return state_digest({key: state[key] for key in keys})
