"""What the sites are sent of the model, and what they have of it already.

Each message brings a site from the model of the message before to that of this one: units that have
not changed since are not sent, the others as the rounded difference (`shared/wire/increments.py`).
So all sites hold the same model bit for bit, which the coordinator knows too; digests in the
message prove it. A site that has another one, as it missed a round, joined late or lost its memory,
is sent what it lacks in float32.

The rounded model is what sites train from and what the run ends with. The coordinator's own float32
weights, to which the sites' updates are added, are another: what rounding took is the difference of
the two, which the next message brings. A unit that pauses is not sent at all: frozen means frozen
at the sites too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from flwr.app import ArrayRecord
from numpy.typing import NDArray

from server.federation.global_model import Reference, select
from shared.model.backbone import Part
from shared.model.delta_digest import delta_digests
from shared.protocol.sent_model import SentModel
from shared.settings.config import RunConfig
from shared.wire.arrays import Arrays, to_record
from shared.wire.codec import codec_of
from shared.wire.increments import encode_increments


@dataclass(frozen=True)
class Sending:
    """One message's model, for all sites; what each is sent of it depends on what it has."""

    reference: Reference
    number: int
    thawed: tuple[Part, ...]
    changed: frozenset[str]
    """Units that this message changes at the sites."""
    increments: ArrayRecord
    after: Arrays
    """The delta of all thawed units as the sites have it then."""
    digests: Mapping[str, str]
    versions: Mapping[str, int]
    """Unit -> number of the message before this one that changed it last; absent where none did."""

    def model(self, seen: int, lacking: Iterable[Part] = ()) -> SentModel:
        """The model for a site that has that of message `seen` (0: none); in full what it lacks."""
        backbone = self.reference.network.backbone
        units = backbone.units_of(self.thawed)
        missing = {unit for unit in units if self.versions.get(unit, 0) > seen}
        missing |= units & backbone.units_of(lacking)
        small = self.changed - missing
        whole = select(self.reference, self.after, backbone.parts_of(missing))
        increments = {
            name: array
            for name, array in self.increments.items()
            if backbone.unit_of(name).name in small
        }
        return SentModel(
            number=self.number,
            thawed=self.thawed,
            digests=tuple(self.digests.values()),
            changed=backbone.parts_of(small),
            whole=backbone.parts_of(missing),
            delta=ArrayRecord({**increments, **to_record(whole)}),
            seen=seen,
        )


@dataclass
class Downlink:
    """What the sites have. All but `received` follows from the ledger."""

    received: Arrays = field(default_factory=dict)
    """The delta as the sites have it, of tensors in a lossy dtype; kept in checkpoints. All others
    are as the coordinator has them, but for units that have trained since."""
    pending: frozenset[str] | None = None
    """Units whose weights are others than when they were sent last; None: all that are no zeros."""
    versions: dict[str, int] = field(default_factory=dict)
    """Unit -> number of the message that changed it last."""
    seen: dict[str, int] = field(default_factory=dict)
    """Site -> number of the last message to which its answer counted."""
    digests: dict[str, str] = field(default_factory=dict)
    last: int = 0
    """Number of the last message that was answered."""

    def sending(
        self, reference: Reference, config: RunConfig, thawed: tuple[Part, ...], delta: Arrays,
        number: int = 0,
    ) -> Sending:  # fmt: skip
        """The next message; it brings what is pending of `delta` to the sites.

        Nothing is remembered of it before `sent`, so a message that is asked again is the same.
        """
        backbone = reference.network.backbone
        units = backbone.units_of(thawed)
        fresh = units & (_differing(reference, {}, delta) if self.pending is None else self.pending)
        parts = backbone.parts_of(fresh)
        increments, brought = encode_increments(
            select(reference, delta, parts), self.received,
            reference.specs(parts, config.update_dtype), config.update_steps,
        )  # fmt: skip
        after = select(reference, {**delta, **self.received}, thawed) | brought
        unknown = fresh | {unit for unit in units if unit not in self.digests}
        new = delta_digests(reference.network, unknown, reference.batch_norm, after)
        digests = {
            unit.name: new.get(unit.name) or self.digests[unit.name]
            for unit in backbone.units
            if unit.name in units
        }
        number, versions = number or self.last + 1, dict(self.versions)
        return Sending(reference, number, thawed, fresh, increments, after, digests, versions)

    def take_instead(self, reference: Reference, delta: Arrays, instead: Arrays) -> None:
        """The next message is to bring `instead`, where that differs from `delta`."""
        if self.pending is not None:
            self.pending |= _differing(reference, delta, instead)

    def sent(
        self, sending: Sending, config: RunConfig, sites: Iterable[str], trained: Collection[Part]
    ) -> None:
        """These sites' answers to it count; the units that they trained are other ones now."""
        specs = sending.reference.specs(sending.thawed, config.update_dtype)
        lossy = {spec.name for spec in specs if codec_of(spec.format).lossy}
        self.received |= {name: sending.after[name] for name in lossy}
        self.digests |= sending.digests
        units = sending.reference.network.backbone.units_of(trained)
        self._note(sending.number, sending.changed, sites, units)

    def resume(
        self, reference: Reference, received: Arrays,
        rounds: Iterable[tuple[Iterable[str], Collection[Part]]],
    ) -> None:  # fmt: skip
        """As after these rounds, each of its sites and of what it trained; the first is round 1.

        `received` is that of the checkpoint after them.
        """
        backbone = reference.network.backbone
        self.received, self.versions, self.seen, self.digests = dict(received), {}, {}, {}
        self.last = 0
        self.pending = backbone.units_of((backbone.head,))
        for number, (sites, trained) in enumerate(rounds, start=1):
            self._note(number, self.pending or (), sites, backbone.units_of(trained))

    def _note(
        self, number: int, changed: Iterable[str], sites: Iterable[str], trained: frozenset[str]
    ) -> None:
        self.last = number
        self.versions |= dict.fromkeys(changed, number)
        self.seen |= dict.fromkeys(sites, number)
        self.pending = trained


def _differing(reference: Reference, one: Arrays, other: Arrays) -> frozenset[str]:
    """The units with a tensor of other bits in the two; a tensor that is not there is all zeros."""
    unit_of = reference.network.backbone.unit_of
    return frozenset(
        unit_of(name).name for name in {**one, **other} if not _same(one.get(name), other.get(name))
    )


def _same(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> bool:
    if one is None or other is None:
        return all(not array.view(np.uint32).any() for array in (one, other) if array is not None)
    return np.array_equal(one.view(np.uint32), other.view(np.uint32))
