"""What each site gave to the training, and what all gave together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from server.aggregation.shares import capped
from server.report.data import Contribution, TrainingData
from server.run.ledger import RoundRecord, SiteRound


def contributions_of(
    records: Sequence[RoundRecord], silent: set[str], min_cell: int, most: float
) -> list[Contribution]:
    """Each site's part over all rounds, without the counts of those in `silent`.

    `most` is the run's max-weight-share.
    """
    parts: dict[str, dict[int, SiteRound]] = {}
    phases = {record.round for record in records if record.plan["position"] == 0}
    for record in records:
        for name, site in record.sites.items():
            parts.setdefault(name, {})[record.round] = site
    # Weights are shares of all images, and those of hidden sites are not known.
    weights = {} if silent & set(parts) else {r.round: _weights(r, most) for r in records}
    return [
        _contribution(name, own, weights, phases, min_cell, name in silent)
        for name, own in sorted(parts.items())
    ]


def trained_on(
    records: Sequence[RoundRecord], silent: set[str], min_cell: int
) -> TrainingData | None:
    """The total; None where some site's part of it is hidden or few."""
    newest = {name: site for record in records for name, site in record.sites.items()}
    if not newest or silent & set(newest):
        return None
    images, patients = (
        [getattr(site, field) or 0 for site in newest.values()] for field in ("images", "patients")
    )
    if min(*images, *patients, min_cell) < min_cell:
        return None
    return TrainingData(sum(images), sum(patients))


def total_of(values: Iterable[float | None]) -> float | None:
    """The sum; None where one of them is hidden."""
    known = list(values)
    return None if None in known else sum(value or 0.0 for value in known)


def _weights(record: RoundRecord, most: float) -> dict[str, float]:
    """Each site's share of the round's average."""
    weights = capped({name: site.images or 0 for name, site in record.sites.items()}, most)
    total = sum(weights.values())
    return {name: own / total for name, own in weights.items()}


def _contribution(
    name: str,
    own: Mapping[int, SiteRound],
    weights_of: Mapping[int, Mapping[str, float]],
    phases: set[int],
    min_cell: int,
    hidden: bool,
) -> Contribution:
    newest, first = own[max(own)], min(own)
    images, patients = (
        None if hidden or value is None or value < min_cell else value
        for value in (newest.images, newest.patients)
    )
    weights = [weights_of[number][name] for number in own if weights_of]
    return Contribution(
        site=name,
        rounds=tuple(sorted(own)),
        images=images,
        patients=patients,
        weight=sum(weights) / len(weights) if weights and images is not None else None,
        train_seconds=total_of(site.train_seconds for site in own.values()),
        evaluate_seconds=total_of(site.evaluate_seconds for site in own.values()),
        peak_memory_bytes=max(
            (site.peak_memory_bytes for site in own.values() if site.peak_memory_bytes is not None),
            default=None,
        ),
        afresh=tuple(
            number
            for number, site in sorted(own.items())
            if site.continued_from == 0 and number > first and number not in phases
        ),
    )
