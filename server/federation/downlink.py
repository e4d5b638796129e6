"""What a round sends to the sites, and what its dtype has lost so far.

A request carries the whole delta to the base, so that a late site needs nothing else; what rounding
takes from it is added to the next one (error feedback). None of this reaches the model that the
coordinator keeps: a site replies with its weights after training minus the weights it received,
rounded as these are, and that difference is added to the coordinator's own float32 weights. The
rounding of requests shifts only the point at which sites compute their updates, by at most one step
in any round and by nothing on average; that of replies comes back as the sites' own feedback. So
the sum over the rounds stays within half a step of each site's last update, however many they are.

A unit that pauses is sent in the same bytes in each of the rounds in which it does: frozen means
frozen at the sites too. So its residual goes on only where it trains.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flwr.app import RecordDict

from server.federation.global_model import Reference, select
from shared.protocol.train import TrainRequest
from shared.settings.schedule import Plan
from shared.wire.arrays import Arrays, encode
from shared.wire.formats.choice import STEPS_PER_RMS


@dataclass
class Downlink:
    """The feedback that is carried from round to round, kept in checkpoints."""

    residual: Arrays = field(default_factory=dict)

    def request(
        self, run: str, reference: Reference, plan: Plan, delta: Arrays, update_dtype: str,
        sent_dtype: str = "", steps: float = STEPS_PER_RMS,
    ) -> tuple[RecordDict, Arrays]:  # fmt: skip
        """A round's request for all sites, and the residual once it has been sent.

        `sent_dtype` is what sites are to answer in, where that is another one.
        """
        thawed = select(reference, delta, plan.thawed)
        encoded = encode(thawed, reference.specs(plan.thawed, update_dtype), self.residual, steps)
        expects = reference.specs(plan.trainable, sent_dtype or update_dtype)
        request = TrainRequest(
            run=run,
            base=reference.base.digest,
            plan=plan,
            expects=tuple(spec.to_line() for spec in expects),
            delta=encoded.record,
        )
        trains = {spec.name for spec in expects}
        lost = {name: left for name, left in encoded.residual.items() if name in trains}
        return request.to_content(), {**self.residual, **lost}
