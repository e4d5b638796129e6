"""What each site gave to the training, and what all gave together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from server.report.data import Contribution, TrainingData
from server.run.ledger import RoundRecord, SiteRound


def contributions_of(
    records: Sequence[RoundRecord], silent: set[str], min_cell: int
) -> list[Contribution]:
    """Each site's part over all rounds, without the counts of those in `silent`."""
    parts: dict[str, dict[int, SiteRound]] = {}
    phases = {record.round for record in records if record.plan["position"] == 0}
    for record in records:
        for name, site in record.sites.items():
            parts.setdefault(name, {})[record.round] = site
    totals = {r.round: sum(site.images for site in r.sites.values()) for r in records}
    # Beside the weights of all others, the only weight that is left out is no secret.
    weighed = len(silent & set(parts)) != 1
    return [
        _contribution(name, own, totals if weighed else {}, phases, min_cell, name in silent)
        for name, own in sorted(parts.items())
    ]


def trained_on(
    records: Sequence[RoundRecord], silent: set[str], min_cell: int
) -> TrainingData | None:
    """The total, unless less those that are shown it is one site's or too few."""
    newest = {name: site for record in records for name, site in record.sites.items()}
    hidden = [site for name, site in newest.items() if name in silent]
    small = hidden and sum(site.patients for site in hidden) < min_cell
    unsilenced = [site for name, site in newest.items() if name not in silent]
    few = any(min(site.images, site.patients) < min_cell for site in unsilenced)
    if not newest or len(hidden) == 1 or small or few:
        return None
    return TrainingData(
        images=sum(site.images for site in newest.values()),
        patients=sum(site.patients for site in newest.values()),
    )


def _contribution(
    name: str,
    own: Mapping[int, SiteRound],
    totals: Mapping[int, int],
    phases: set[int],
    min_cell: int,
    hidden: bool,
) -> Contribution:
    newest, first = own[max(own)], min(own)
    images, patients = (
        None if hidden or value < min_cell else value for value in (newest.images, newest.patients)
    )
    weights = [site.images / totals[number] for number, site in own.items() if totals]
    return Contribution(
        site=name,
        rounds=tuple(sorted(own)),
        images=images,
        patients=patients,
        weight=sum(weights) / len(weights) if weights and images is not None else None,
        train_seconds=sum(site.train_seconds for site in own.values()),
        evaluate_seconds=sum(site.evaluate_seconds for site in own.values()),
        peak_memory_bytes=max(site.peak_memory_bytes for site in own.values()),
        afresh=tuple(
            number
            for number, site in sorted(own.items())
            if site.continued_from == 0 and number > first and number not in phases
        ),
    )
