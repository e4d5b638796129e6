"""What the units that a round does not train must hash to, at every site."""

from __future__ import annotations

from flwr.app import RecordDict

from server.federation.global_model import Reference, expected_frozen_digest, full_state
from shared.model.freezing import proven_keys, state_digest
from shared.protocol.train import TrainRequest
from shared.settings.schedule import Plan
from shared.wire.arrays import from_record


def frozen_in_round(
    reference: Reference, plan: Plan, request: RecordDict, update_dtype: str
) -> str:
    """The digest that each reply to this request must carry.

    Units that never trained still equal the base. Those that trained before and are frozen in this
    round are as the request has them, which may be rounded.
    """
    backbone = reference.network.backbone
    if backbone.units_of(plan.thawed) <= backbone.units_of(plan.trainable):
        return expected_frozen_digest(reference, plan.trainable)
    delta = TrainRequest.from_content(request, backbone).delta
    sent = from_record(delta, reference.specs(plan.thawed, update_dtype))
    state = full_state(reference, sent)
    keys = proven_keys(reference.network, plan.trainable, plan.thawed, reference.batch_norm)
    return state_digest({key: state[key] for key in keys})
