"""A run's rounds, calibration.json and summary.json as others than the owner see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from server.disclosure.coarse import coarse
from server.disclosure.cohorts import ShownCohort
from server.disclosure.rounding import (
    rounded_bytes,
    rounded_count,
    rounded_loss,
    rounded_memory,
    rounded_seconds,
    significant,
)
from server.results.signals import Signals
from server.run.calibration import calibrate
from server.run.ledger import RoundRecord, SiteRound
from shared.limits import MIN_CELL
from shared.metrics.histogram import Histogram
from shared.metrics.log_loss import LogLoss
from shared.outcome.counts import are_hidden


def shown_round(exact: RoundRecord, cohort: ShownCohort) -> RoundRecord:
    """A round as the ledger has it; `cohort` are its validation patients."""
    patients = sum(site.patients or 0 for site in exact.sites.values())
    return replace(
        exact,
        sites={
            name: shown_site(site, cohort.sites[name], hidden=name in cohort.hidden)
            for name, site in exact.sites.items()
        },
        loss=rounded_loss(exact.loss, patients) if cohort.shows_totals else None,
        validation=cohort.pooled,
        signals=shown_signals(exact.signals, cohort.pooled, totals=cohort.shows_totals),
        bytes_down=rounded_bytes(exact.bytes_down),
        bytes_up=rounded_bytes(exact.bytes_up),
        bytes_full_exchange=rounded_bytes(exact.bytes_full_exchange),
        seconds=float(round(exact.seconds)),
        wait_seconds=float(round(exact.wait_seconds)),
    )


def shown_signals(
    signals: Signals | None, pooled: Mapping[str, Any], *, totals: bool
) -> Signals | None:
    """Those of a round whose validation patients are `pooled`, with their log-loss if `totals`.

    Distance and agreement are of the model that all sites are sent, and of all updates together;
    the signal-to-noise is a mean over the sites, as a loss is.
    """
    if signals is None:
        return None
    patients = (pooled.get("positives") or 0) + (pooled.get("negatives") or 0)
    shown = totals and patients > 0
    units = signals.units
    if not totals:
        units = {unit: replace(own, signal_to_noise=None) for unit, own in units.items()}
    return replace(
        signals,
        units=units,
        log_loss=rounded_loss(signals.log_loss, patients) if shown else None,
        refined_loss=rounded_loss(signals.refined_loss, patients) if shown else None,
        chance_loss=rounded_loss(signals.chance_loss, patients) if shown else None,
    )


def shown_site(site: SiteRound, metrics: Mapping[str, Any], *, hidden: bool) -> SiteRound:
    """A site's line; of a hidden one only that it took part, and from which state it continued."""
    nothing = SiteRound(
        images=None,
        patients=None,
        steps=None,
        loss=None,
        train_seconds=None,
        evaluate_seconds=None,
        peak_memory_bytes=None,
        continued_from=site.continued_from,
        metrics=metrics,
    )
    if hidden or site.patients is None:
        return nothing
    return replace(
        nothing,
        images=rounded_count(site.images),
        patients=rounded_count(site.patients),
        loss=rounded_loss(site.loss, site.patients),
        train_seconds=rounded_seconds(site.train_seconds),
        evaluate_seconds=rounded_seconds(site.evaluate_seconds),
        peak_memory_bytes=rounded_memory(site.peak_memory_bytes),
        update_ratio=site.update_ratio,
    )


def shown_log_loss(exact: LogLoss, cohort: ShownCohort) -> float | None:
    """A mean log-loss, as `rounded_loss` does it; None with hidden totals."""
    counts = cohort.counts.pooled
    if not cohort.shows_totals or counts is None:
        return None
    return rounded_loss(exact.mean, counts.patients)


def shown_calibration(validation: Histogram, *, totals: bool) -> Mapping[str, Any]:
    """calibration.json; its keys alone, without values, where `totals` are not shown.

    Thresholds are chosen among the scores at which groups of patients begin, so that none reveals
    a single patient; they are what the run recommends, for any use.
    """
    if not totals:
        return dict.fromkeys(calibrate(validation)) | {"operating_points": []}
    grouped = coarse(validation, Histogram.empty(), MIN_CELL, at_start=True)
    found = calibrate(validation, grouped)
    fit = found["recalibration"]
    return {
        **found,
        "temperature": significant(found["temperature"]),
        "recalibration": fit and {key: significant(value) for key, value in fit.items()},
    }


def shown_summary(exact: Mapping[str, Any]) -> Mapping[str, Any]:
    """summary.json, whose metrics are of cohorts as they may be shown already."""
    cohorts = [exact["site"], exact.get("test", {}).get("site", {})]
    hides = any(are_hidden(site) for one in cohorts for site in one.values())
    # Sums over all sites, minus the values of the sites shown, are those of the hidden ones.
    secret = {"train", "evaluate"} if hides else set()
    return {
        **exact,
        "bytes": {key: rounded_bytes(value) for key, value in exact["bytes"].items()},
        "seconds": {
            key: None if key in secret else rounded_seconds(value)
            for key, value in exact["seconds"].items()
        },
        "peak_memory_bytes": rounded_memory(exact["peak_memory_bytes"]),
    }
