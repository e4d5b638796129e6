"""A round's numbers under the names by which recorders show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.run.ledger import RoundRecord
from shared.outcome.counts import are_hidden

LAST = "sites/trained"
"""Written after all else of a round, so where it is the round is complete."""
_VALIDATION = ("auroc", "balanced_accuracy", "brier", "ece")


def scalars(record: RoundRecord) -> dict[str, float]:
    """Name -> value of all that is defined and shown in this round; LAST is the last of them.

    `validation` is of the model that entered the round. A site whose values are hidden is not
    among the sites.
    """
    values: dict[str, float] = {
        "bytes/down": record.bytes_down,
        "bytes/up": record.bytes_up,
        "seconds/round": record.seconds,
        "seconds/wait": record.wait_seconds,
        "sites/refused": len(record.refused),
        "sites/absent": len(record.absent),
    }
    stages, rates = record.plan["trainable"], record.plan["rates"]
    values |= {f"maximum_rate/{stage}": rate for stage, rate in zip(stages, rates, strict=True)}
    if record.signals is not None:
        for unit, signals in record.signals.units.items():
            values[f"distance/{unit}"] = signals.distance
            if signals.agreement is not None:
                values[f"agreement/{unit}"] = signals.agreement
        if record.signals.log_loss is not None:
            values["validation/log_loss"] = record.signals.log_loss
    values |= _defined("validation", record.validation, _VALIDATION)
    for name, site in record.sites.items():
        if are_hidden(site.metrics):
            continue
        if site.loss is not None:
            values[f"site/{name}/loss"] = site.loss
        values |= _defined(f"site/{name}", site.metrics, ("auroc",))
    if record.loss is not None:
        values["loss"] = record.loss
    return values | {LAST: len(record.sites)}


def final_scalars(summary: Mapping[str, Any]) -> dict[str, float]:
    """Name -> value of the final model at all sites together."""
    return _defined("final", summary["pooled"], _VALIDATION)


def _defined(group: str, metrics: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, float]:
    found = {name: metrics.get(name) for name in names}
    return {f"{group}/{name}": float(value) for name, value in found.items() if value is not None}
