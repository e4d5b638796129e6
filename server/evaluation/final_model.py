"""The model that a run ends with, as the sites receive it: what they evaluate is what is saved."""

from __future__ import annotations

from dataclasses import dataclass

from server.federation.context import Federation
from server.federation.downlink import Sending
from server.federation.global_model import select
from shared.model.backbone import Part
from shared.model.between import between
from shared.protocol.evaluate import Nearer
from shared.settings.ending import probe_parts
from shared.wire.arrays import Arrays
from shared.wire.increments import apply_increments, encode_increments


@dataclass(frozen=True)
class FinalModel:
    """The end that the rounds lead to, or a point nearer to the probe's last model."""

    end: Arrays
    """The coordinator's own delta, which sites receive in the dtype of the rounds."""
    thawed: tuple[Part, ...]
    """What may differ from the base."""
    nearer: Nearer | None = None

    def sending(self, federation: Federation) -> Sending:
        """The next message; it brings the sites the end, as far as they have it not."""
        return federation.downlink.sending(
            federation.reference, federation.config, self.thawed, self.end
        )

    def delta(self, federation: Federation) -> Arrays:
        """The model that sites make of that message."""
        after = self.sending(federation).after
        end = {name: after[name] for name in self.end}
        if self.nearer is None:
            return end
        return between(_received(federation, self.nearer), end, self.nearer.share)


def point(federation: Federation, probe: Arrays, share: float = 1.0) -> Nearer:
    """The point at this share of the way from the probe's last model to the end.

    It travels whole and once, so no later message brings what rounding takes: in as many steps as
    need no error feedback, whatever the rounds have.
    """
    config, reference = federation.config, federation.reference
    probed = probe_parts(config)
    specs = reference.specs(probed, config.update_dtype)
    start, _ = encode_increments(select(reference, probe, probed), {}, specs)
    return Nearer(share, probed, start)


def _received(federation: Federation, nearer: Nearer) -> Arrays:
    """A point's start as the sites receive it."""
    specs = federation.reference.specs(nearer.probed, federation.config.update_dtype)
    return apply_increments(nearer.start, {}, specs)
