"""What a run will cost, said before its first round: time where it can be measured, and bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from server.federation.global_model import Reference
from server.terminal.rough import megabytes_in_words, rounds_in_words, time_in_words
from shared.model.manifest import sizes_of_units
from shared.settings.config import RunConfig
from shared.settings.dynamics import expected_values
from shared.settings.ending import probe_parts, stays_near_probe
from shared.settings.schedule import (
    decides_as_it_goes,
    plan_round,
    stages_ever_thawed,
    total_rounds,
)
from shared.wire.arrays import Manifest, TensorSpec
from shared.wire.formats.choice import STEPS_PER_RMS, rank_of


@runtime_checkable
class MeasuringGrid(Protocol):
    """A grid whose sites are on this machine, where steps can be timed."""

    def expected_seconds(self, config: RunConfig) -> tuple[float, ...] | None:
        """Seconds of each round and of the final evaluation; None where a site is not ready."""


UNTIL_IT_ENDS = " That is for all its rounds: the run ends sooner if further ones gain nothing."
"""Behind the estimate of a run that may end before its last round."""
_BYTES = {"float32": 4.0, "float16": 2.0}
"""A value on the wire."""
_INDEX, _EXPECTED, _NUMPY = 65, 39, 128
"""Bytes beside a tensor's values: its entry in the index of a message, its line in the plan of the
round that trains it, and what NumPy writes before float32. With small networks they count."""
_REQUEST, _REPLY, _QUESTION, _ANSWER = 700, 1_500, 1_000, 3_500
"""Bytes beside the tensors of a message: plan and digests in a round's request, counts and the
scores' histogram in its reply, and both after the last round."""


def expected_bytes(
    config: RunConfig, reference: Reference, sites: int, after_round: int = 0,
    last: int | None = None,
) -> float:  # fmt: skip
    """Bytes of all messages of weights after this round and their answers, of this many sites.

    `last` is the run's last round where that has been brought forward.
    """
    last = total_rounds(config) if last is None else last
    chosen = _chosen(config, reference)
    message = _QUESTION + _ANSWER + _trained(config, reference, last, config.update_dtype, chosen)
    for number in range(after_round + 1, last + 1):
        # A request brings what the round before has changed.
        message += _trained(config, reference, number - 1, config.update_dtype, chosen)
        message += _trained(config, reference, number, config.sent_dtype, chosen, _EXPECTED)
        message += _REQUEST + _REPLY
    if stays_near_probe(config):
        probed = reference.specs(probe_parts(config), config.update_dtype)
        # Once to choose, once to evaluate.
        message += 2 * _size(probed) + _QUESTION + _ANSWER
    return sites * message


def estimate_in_words(seconds: Sequence[float] | None, size: float, rounds: int) -> str:
    """The sentence; `seconds` are those of the rounds to come, None where nothing is measured."""
    megabytes = f"{megabytes_in_words(size)} of weights will be transferred"
    if seconds is None:
        return (
            f"Estimate: {megabytes}. The time depends on the sites' machines: after each round it "
            "is estimated from the rounds so far."
        )
    return (
        f"Estimate: about {time_in_words(sum(seconds))} for {rounds_in_words(rounds)}, and "
        f"{megabytes}. Measured on one batch of the first site's images on this machine, as busy "
        "as it is now."
    )


def _trained(
    config: RunConfig, reference: Reference, number: int, dtype: str, chosen: float,
    beside: float = 0.0,
) -> float:  # fmt: skip
    """Bytes of what round `number` trains, or before round 1 of the head that is drawn.

    Of all that may train, where that is `chosen` as the run goes, this share. Each tensor takes so
    many bytes `beside` those of its message.
    """
    if decides_as_it_goes(config, number):
        parts = stages_ever_thawed(config, number)
        return chosen * _size(reference.specs(parts, dtype), config.update_steps, beside)
    parts = plan_round(config, number).trainable if number else (config.network.head,)
    return _size(reference.specs(parts, dtype), config.update_steps, beside)


def _chosen(config: RunConfig, reference: Reference) -> float:
    """Which share of all that may train a round does on average, by values."""
    last = total_rounds(config)
    if not decides_as_it_goes(config, last):
        return 1.0
    sizes = sizes_of_units(reference.network, config.batch_norm)
    units = config.network.units_of(stages_ever_thawed(config, last))
    return expected_values(config, sizes) / sum(sizes[unit] for unit in units)


def _size(specs: Manifest, steps: float = STEPS_PER_RMS, beside: float = 0.0) -> float:
    return sum(_payload(spec, steps) + _INDEX + beside for spec in specs)


def _payload(spec: TensorSpec, steps: float) -> float:
    values = math.prod(spec.shape)
    if rank := rank_of(spec.format):
        return 2.0 * rank * (spec.shape[0] + values / spec.shape[0])
    if spec.format == "int8":
        # The entropy of Gaussian values in so many steps, and what Huffman's code is above it.
        return values * math.log2(1 + 4.13 * steps) / 8
    return values * _BYTES[spec.format] + (_NUMPY if spec.format == "float32" else 0)
