"""`update-dtype`, `update-steps`, `update-rank`: how tensors travel, with error feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import ConfigError
from shared.update.step import Packing, Settings
from shared.wire.formats.choice import DEFAULT_STEPS

if TYPE_CHECKING:
    from flwr.app import ArrayRecord

    from shared.wire.arrays import Arrays, Manifest

_STEPS_WITH_CLIP = 2.0


def _words(settings: Settings) -> str:
    other = settings.update_dtype == "int8" and settings.update_steps != DEFAULT_STEPS
    steps = f" of {settings.update_steps:g} steps a root mean square" if other else ""
    rank = f", large matrices in rank {settings.update_rank}" if settings.update_rank else ""
    return f"as {settings.update_dtype}{steps}{rank}"


def _check(settings: Settings) -> None:
    if settings.update_rank and settings.update_dtype != "int8":
        raise ConfigError(
            f"update-rank is {settings.update_rank} and update-dtype {settings.update_dtype}; "
            "low-rank matrices are sent along with int8, so set update-dtype=int8 or update-rank=0."
        )
    few_steps = settings.update_steps < _STEPS_WITH_CLIP
    coarse = settings.update_dtype == "int8" and (settings.update_rank or few_steps)
    if settings.update_clip and coarse:
        raise ConfigError(
            f"update-clip is {settings.update_clip:g}, and what so coarse a format loses in one "
            "round comes back in the next, beyond any such limit; set update-rank=0 and "
            f"update-steps to {_STEPS_WITH_CLIP:g} or more, or update-clip=0."
        )


def _pack(
    update: Arrays, manifest: Manifest, state: Arrays, settings: Settings
) -> tuple[ArrayRecord, Arrays]:
    from shared.wire.arrays import encode

    encoded = encode(update, manifest, state, settings.update_steps)
    return encoded.record, encoded.residual


def _unpack(record: ArrayRecord, manifest: Manifest) -> Arrays:
    from shared.wire.arrays import from_record

    return from_record(record, manifest)


QUANTISE = Packing(
    name="quantise", words=_words, check=_check, pack=_pack, unpack=_unpack, keeps="residual"
)
