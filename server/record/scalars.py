"""A round's numbers under the names by which recorders show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.run.ledger import RoundRecord

_VALIDATION = ("auroc", "balanced_accuracy", "brier", "ece")


def scalars(record: RoundRecord) -> dict[str, float]:
    """Name -> value of all that is defined in this round; `loss` is the last of them.

    `validation` is of the model that entered the round. A site that suppresses its own values is
    not among the sites.
    """
    values: dict[str, float] = {
        "bytes/down": record.bytes_down,
        "bytes/up": record.bytes_up,
        "seconds/round": record.seconds,
        "seconds/wait": record.wait_seconds,
        "sites/trained": len(record.sites),
        "sites/refused": len(record.refused),
        "sites/absent": len(record.absent),
    }
    stages, rates = record.plan["trainable"], record.plan["rates"]
    values |= {f"maximum_rate/{stage}": rate for stage, rate in zip(stages, rates, strict=True)}
    values |= _defined("validation", record.validation, _VALIDATION)
    for name, site in record.sites.items():
        if site.metrics.get("positives") is None:  # suppressed
            continue
        values[f"site/{name}/loss"] = site.loss
        values |= _defined(f"site/{name}", site.metrics, ("auroc",))
    return values | {"loss": record.loss}


def final_scalars(summary: Mapping[str, Any]) -> dict[str, float]:
    """Name -> value of the final model at all sites together."""
    return _defined("final", summary["pooled"], _VALIDATION)


def _defined(group: str, metrics: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, float]:
    found = {name: metrics.get(name) for name in names}
    return {f"{group}/{name}": float(value) for name, value in found.items() if value is not None}
