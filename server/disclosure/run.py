"""What a run shows: of each round, of its final evaluation, and in its summary."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from server.disclosure.coarse import coarse
from server.disclosure.groups import ShownGroups, counts_of
from server.disclosure.register import Register, Release, Releases, register_beside
from server.disclosure.rounding import (
    rounded,
    rounded_bytes,
    rounded_count,
    rounded_interval,
    rounded_loss,
    rounded_memory,
    rounded_seconds,
    rounded_value,
    significant,
)
from server.disclosure.shown import Audience, Shown, audience_of
from server.disclosure.suppression import Suppression, suppress_beside
from server.run.calibration import calibrate
from server.run.evaluation_file import CohortCounts, CovariateCounts, EvaluationFile
from server.run.ledger import RoundRecord, SiteRound
from shared.config import RunConfig
from shared.events import Warned, emit
from shared.limits import MIN_CELL
from shared.metrics.histogram import Histogram, summed
from shared.metrics.summary import BinaryMetrics, summarise, suppressed
from shared.protocol.evaluate import Scope


@dataclass(frozen=True)
class ShownCohort:
    """A cohort under a model, as far as it may be shown; objects as summary.json has them."""

    pooled: Mapping[str, Any]
    sites: Mapping[str, Mapping[str, Any]]
    counts: CohortCounts
    hidden: frozenset[str]
    shows_totals: bool


@dataclass
class Disclosure:
    """The rules for one run: for whom it is, and what was shown before."""

    audience: Audience = Audience.OTHERS
    run: str = ""
    split: str = ""
    """Which patients are held out, as far as their number depends on it."""
    register: Register = field(default_factory=Register)
    _warned: bool = False
    _groups: dict[str, ShownGroups] = field(default_factory=dict)

    @classmethod
    def of(cls, config: RunConfig, run: str, folder: Path) -> Disclosure:
        """Those of a run in this folder, beside which other runs of its sites lie."""
        audience = audience_of(config)
        register = Register(None if audience is Audience.OWNER else register_beside(folder))
        folds = f", fold {config.fold} of {config.folds}" if config.folds else ""
        return cls(audience, run, f"{config.validation_fraction:g} validates{folds}", register)

    @property
    def for_others(self) -> bool:
        """Whether anything is hidden and rounded at all."""
        return self.audience is Audience.OTHERS

    def cohort(
        self,
        scope: str,
        histograms: Mapping[str, Histogram],
        own: Collection[str],
        data: Mapping[str, str],
    ) -> ShownCohort:
        """What may be shown of these patients; the sites in `own` suppress their own values.

        `data` has a digest of each site's data. Hidden sites are null throughout, and so is all
        that is of all sites together where that would tell of a hidden site, beside what this
        run and others have shown.
        """
        total = summed(histograms.values())
        if not self.for_others:
            return _all(histograms, total)
        told = self._told(scope, histograms, own, data)
        behind = summed(one for name, one in histograms.items() if name in told.hidden)
        shown = {name: None if name in told.hidden else one for name, one in histograms.items()}
        return ShownCohort(
            pooled=_metrics(total if told.shows_totals else None),
            sites={name: _metrics(one) for name, one in shown.items()},
            counts=CohortCounts(
                coarse(total, behind, MIN_CELL) if told.shows_totals else None,
                {
                    name: None if one is None else coarse(one, Histogram.empty(), MIN_CELL)
                    for name, one in shown.items()
                },
            ),
            hidden=told.hidden,
            shows_totals=told.shows_totals,
        )

    def round(self, exact: RoundRecord, cohort: ShownCohort) -> Shown[RoundRecord]:
        """A round as the ledger and all who read it have it."""
        if not self.for_others:
            return Shown(exact)
        patients = sum(site.patients or 0 for site in exact.sites.values())
        return Shown(
            replace(
                exact,
                sites={
                    name: shown_site(site, cohort.sites[name], hidden=name in cohort.hidden)
                    for name, site in exact.sites.items()
                },
                loss=rounded_loss(exact.loss, patients) if cohort.shows_totals else None,
                validation=cohort.pooled,
                bytes_down=rounded_bytes(exact.bytes_down),
                bytes_up=rounded_bytes(exact.bytes_up),
                bytes_full_exchange=rounded_bytes(exact.bytes_full_exchange),
                seconds=float(round(exact.seconds)),
                wait_seconds=float(round(exact.wait_seconds)),
            )
        )

    def evaluation(
        self, cohorts: Mapping[Scope, ShownCohort], covariates: Mapping[str, CovariateCounts]
    ) -> Shown[EvaluationFile]:
        """evaluation.json; `covariates` are of groups that may be shown (`grades`)."""
        counts = {str(scope): one.counts for scope, one in cohorts.items()}
        return Shown(EvaluationFile(counts, covariates))

    def calibration(self, validation: Histogram, *, totals: bool) -> Shown[Mapping[str, Any]]:
        """calibration.json; nothing in it but the names where `totals` are not shown.

        For others thresholds are chosen among the scores at which groups of patients begin, so
        that none tells of one patient; they are what the run recommends, for any use.
        """
        if not self.for_others:
            return Shown(calibrate(validation))
        if not totals:
            return Shown(dict.fromkeys(calibrate(validation)) | {"operating_points": []})
        grouped = coarse(validation, Histogram.empty(), MIN_CELL, at_start=True)
        found = calibrate(validation, grouped)
        fit = found["recalibration"]
        return Shown(
            {
                **found,
                "temperature": significant(found["temperature"]),
                "recalibration": fit and {key: significant(value) for key, value in fit.items()},
            }
        )

    def grade(self, exact: Mapping[str, Any]) -> Mapping[str, Any]:
        """The clinical grade's entry in summary.json, of a group that may be shown."""
        return rounded_grade(exact) if self.for_others else exact

    def summary(self, exact: Mapping[str, Any]) -> Shown[Mapping[str, Any]]:
        """summary.json, of which metrics have passed `cohort` already."""
        if not self.for_others:
            return Shown({**exact, "audience": self.audience.value})
        cohorts = [exact["site"], exact.get("test", {}).get("site", {})]
        hides = any(site["positives"] is None for one in cohorts for site in one.values())
        # Less those of the sites shown, the sums over sites would be the hidden ones'.
        secret = {"train", "evaluate"} if hides else set()
        seconds = {
            key: None if key in secret else rounded_seconds(value)
            for key, value in exact["seconds"].items()
        }
        return Shown(
            {
                **exact,
                "bytes": {key: rounded_bytes(value) for key, value in exact["bytes"].items()},
                "seconds": seconds,
                "peak_memory_bytes": rounded_memory(exact["peak_memory_bytes"]),
                "audience": self.audience.value,
            }
        )

    def admits(self, scope: str, group: Collection[str]) -> bool:
        """Whether results of these sites alone may be shown beside the cohort's; then they count.

        Of a cohort that was asked for before.
        """
        if not self.for_others:
            return True
        groups = self._groups[scope]
        if not groups.admit(group):
            return False
        with self.register.opened() as releases:
            self._enter(releases, f"{scope}, {self.split}", groups)
        return True

    def _enter(self, releases: Releases, cohort: str, groups: ShownGroups) -> None:
        for members, counts in groups.admitted():
            small = tuple(sorted(groups.hidden & set(members)))
            releases.add(Release(self.run, cohort, members, counts, small))

    def _told(
        self,
        scope: str,
        histograms: Mapping[str, Histogram],
        own: Collection[str],
        data: Mapping[str, str],
    ) -> Suppression:
        """The decision, entered in the register."""
        counts = {name: counts_of(one) for name, one in histograms.items()}
        cohort = f"{scope}, {self.split}"
        with self.register.opened() as releases:
            earlier = releases.earlier(cohort, data, counts, MIN_CELL)
            groups = ShownGroups(counts, own, MIN_CELL, earlier)
            told = suppress_beside(groups, counts)
            self._enter(releases, cohort, groups)
        self._groups[scope] = groups
        if not told.shows_totals and not self._warned:
            self._warned = True
            emit(Warned(WITHHELD))
        return told


WITHHELD = (
    "Results of all sites together are not shown where they would tell of few patients of one: "
    "because too few take part, or beside what was shown before. The training goes on as usual."
)


def _all(histograms: Mapping[str, Histogram], total: Histogram) -> ShownCohort:
    return ShownCohort(
        pooled=summarise(total).to_json(),
        sites={name: summarise(one).to_json() for name, one in histograms.items()},
        counts=CohortCounts(total, dict(histograms)),
        hidden=frozenset(),
        shows_totals=True,
    )


def _metrics(histogram: Histogram | None) -> Mapping[str, Any]:
    found: BinaryMetrics = suppressed() if histogram is None else rounded(summarise(histogram))
    return found.to_json()


def rounded_grade(exact: Mapping[str, Any]) -> Mapping[str, Any]:
    """The clinical grade's entry in summary.json, to the digits that its patients support."""
    patients = exact["positives"] + exact["negatives"]
    paired = exact["difference"]
    return {
        **exact,
        "auroc": rounded_value(exact["auroc"], patients),
        "auroc_ci95": rounded_interval(exact["auroc_ci95"], patients),
        "model_auroc": rounded_value(exact["model_auroc"], patients),
        "difference": paired and _paired(paired, patients),
    }


def _paired(exact: Mapping[str, Any], patients: int) -> Mapping[str, Any]:
    error = exact.get("standard_error")
    return {
        **exact,
        "auroc_a": rounded_value(exact.get("auroc_a"), patients),
        "auroc_b": rounded_value(exact.get("auroc_b"), patients),
        "difference": rounded_value(exact["difference"], patients, error),
        "standard_error": significant(error),
        "ci95": rounded_interval(exact["ci95"], patients, error),
        "z": rounded_value(exact.get("z"), patients),
        "p": significant(exact["p"]),
    }


def shown_site(site: SiteRound, metrics: Mapping[str, Any], *, hidden: bool) -> SiteRound:
    """A site's line: of a hidden one nothing but that it took part, and from where it went on."""
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
