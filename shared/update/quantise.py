"""`update-dtype`: the number format of the tensors on the wire, with error feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.update.step import Packing, Settings

if TYPE_CHECKING:
    from flwr.app import ArrayRecord

    from shared.wire.arrays import Arrays, Manifest


def _words(settings: Settings) -> str:
    return f"as {settings.update_dtype}"


def _pack(update: Arrays, manifest: Manifest, state: Arrays) -> tuple[ArrayRecord, Arrays]:
    from shared.wire.arrays import encode

    encoded = encode(update, manifest, state)
    return encoded.record, encoded.residual


def _unpack(record: ArrayRecord, manifest: Manifest) -> Arrays:
    from shared.wire.arrays import from_record

    return from_record(record, manifest)


QUANTISE = Packing(name="quantise", words=_words, pack=_pack, unpack=_unpack, keeps="residual")
