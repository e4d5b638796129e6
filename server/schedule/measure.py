"""The signals of a round: what its average changed, the sites' agreement, the gradients' noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from server.aggregation.agreement import Agreement
from server.federation.global_model import Reference
from server.results.signals import UnitSignals
from shared.metrics.classes.kinds import Counts
from shared.metrics.log_loss import chance_log_loss, log_loss, refined_log_loss
from shared.model.exchanged import batch_norm_statistics
from shared.update.norm import sum_of_squares
from shared.wire.arrays import Arrays

_DIGITS = 3
_DIGITS_OF_NOISE = 2


def agreement_of(reference: Reference, current: Arrays) -> Agreement:
    """To be shown the updates of a round that trains these tensors."""
    units = _weights_by_unit(reference, current)
    shapes = {key: current[key].shape for key in units}
    return Agreement(shapes, units)


def unit_signals(
    reference: Reference, before: Arrays, after: Arrays, agreement: Agreement
) -> dict[str, UnitSignals]:
    """Signals of each unit that trained; `before` and `after` are its tensors minus the base's."""
    moved: dict[str, float] = {}
    size: dict[str, float] = {}
    for key, unit in _weights_by_unit(reference, before).items():
        base = reference.base.state[key].numpy()
        moved[unit] = moved.get(unit, 0.0) + sum_of_squares(after[key] - before[key])
        size[unit] = size.get(unit, 0.0) + sum_of_squares(base + before[key])
    agreed = agreement.result()
    return {
        unit: UnitSignals(_significant(_relative(moved[unit], size[unit])), _rounded(agreed[unit]))
        for unit in moved
    }


def with_noise(
    units: Mapping[str, UnitSignals],
    found: Mapping[str, Mapping[str, float]],
    weights: Mapping[str, int],
) -> dict[str, UnitSignals]:
    """The signals with the sites' signal-to-noise: site -> unit -> value, and each site's weight.

    The mean of those that sent one.
    """
    return {
        unit: replace(own, signal_to_noise=_mean_noise(unit, found, weights))
        for unit, own in units.items()
    }


def _mean_noise(
    unit: str, found: Mapping[str, Mapping[str, float]], weights: Mapping[str, int]
) -> float | None:
    having = sorted(site for site, own in found.items() if unit in own)
    total = sum(weights[site] for site in having)
    if not total:
        return None
    mean = math.fsum(found[site][unit] * weights[site] for site in having) / total
    return _significant(mean, _DIGITS_OF_NOISE)


def pooled_log_loss(counts: Counts) -> float | None:
    """The mean log-loss of all sites' validation patients; None without any."""
    found = log_loss(counts)
    return None if found is None else found.mean


def pooled_refined_loss(counts: Counts) -> float | None:
    """`pooled_log_loss` without the part that recalibration would remove."""
    found = refined_log_loss(counts)
    return None if found is None else round(found, 4)


def pooled_chance_loss(counts: Counts) -> float | None:
    """What `pooled_refined_loss` has to be below for the scores to say anything."""
    found = chance_log_loss(counts)
    return None if found is None else round(found, 4)


def _weights_by_unit(reference: Reference, arrays: Arrays) -> Mapping[str, str]:
    """The unit of each tensor by which it is judged.

    Its matrices and convolutions; of a unit that is a norm alone its scales and biases.
    """
    backbone = reference.network.backbone
    parameters = arrays.keys() - batch_norm_statistics(reference.network)
    units = {key: backbone.unit_of(key).name for key in arrays if key in parameters}
    having = {unit for key, unit in units.items() if arrays[key].ndim > 1}
    return {k: unit for k, unit in units.items() if arrays[k].ndim > 1 or unit not in having}


def _relative(moved: float, size: float) -> float:
    return math.sqrt(moved / size) if size > 0 else float(moved > 0)


def _significant(value: float, digits: int = _DIGITS) -> float:
    return float(f"{value:.{digits}g}")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
