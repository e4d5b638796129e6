"""An update through all steps of its chain: at its site, and back at the coordinator."""

from __future__ import annotations

from collections.abc import Mapping

from flwr.app import ArrayRecord

from shared.update.registry import PACKING, transforms_of
from shared.update.step import Passage
from shared.wire.arrays import Arrays, Manifest

State = Mapping[str, Arrays]
"""What steps keep at the site from round to round, by `Step.keeps`."""


def send(
    update: Arrays, manifest: Manifest, state: State, passage: Passage
) -> tuple[ArrayRecord, dict[str, Arrays]]:
    """What travels of an update (weights after training minus weights received), and the new state.

    Raises ProtocolError where a number format cannot carry the values.
    """
    kept: dict[str, Arrays] = {}
    for transform in transforms_of(passage.settings):
        update, left = transform.at_site(update, state.get(transform.keeps, {}), passage)
        if transform.keeps:
            kept[transform.keeps] = left
    record, left = PACKING.pack(update, manifest, state.get(PACKING.keeps, {}), passage.settings)
    if PACKING.keeps:
        kept[PACKING.keeps] = left
    return record, kept


def receive(record: ArrayRecord, manifest: Manifest, passage: Passage) -> Arrays:
    """The update as it goes into the average, in memory of its own.

    Raises ProtocolError for what does not fit the manifest, is not finite, or did not go through
    the run's steps at its site.
    """
    update = PACKING.unpack(record, manifest)
    for transform in reversed(transforms_of(passage.settings)):
        update = transform.at_coordinator(update, passage)
    return update
