"""A round's numbers under the names by which recorders show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.run.ledger import RoundRecord
from shared.outcome.counts import KIND, are_hidden

LAST = "sites/trained"
"""Written after all else of a round, so where it is the round is complete."""
_VALIDATION = ("auroc", "balanced_accuracy", "brier", "ece")
_OF_CLASSES = ("accuracy", "kappa_quadratic", "auprc")
"""What is defined of some outcomes with several classes or labels, beside those above."""
_PARTS = {"classes": "class", "cuts": "from", "labels": "label"}
"""What such metrics have by name, and its word here; a cut has the lowest class above it."""
_OF_PART = ("auroc", "sensitivity")


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
            if signals.signal_to_noise is not None:
                values[f"signal_to_noise/{unit}"] = signals.signal_to_noise
        if record.signals.log_loss is not None:
            values["validation/log_loss"] = record.signals.log_loss
        if record.signals.refined_loss is not None:
            values["validation/refined_log_loss"] = record.signals.refined_loss
    values |= _all("validation", record.validation)
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
    return _all("final", summary["pooled"])


def _all(group: str, metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of all sites; of several classes or labels each one's too."""
    values = _defined(group, metrics, _VALIDATION)
    if KIND not in metrics:
        return values
    values |= _defined(group, metrics, _OF_CLASSES)
    for key, called in _PARTS.items():
        for name, own in metrics.get(key, {}).items():
            # MLflow takes no plus sign, which is all that a class may have and a metric may not.
            values |= _defined(f"{group}/{called}/{name.replace('+', 'plus')}", own, _OF_PART)
    return values


def _defined(group: str, metrics: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, float]:
    found = {name: metrics.get(name) for name in names}
    return {f"{group}/{name}": float(value) for name, value in found.items() if value is not None}
