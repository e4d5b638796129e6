"""The report of an admission: its counts, and what follows from them in sentences."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from client.data.cohort import Cohort
from client.data.counts import AdmissionCounts
from client.data.discover import count_left_out
from client.data.fates import OTHER, Covariates, Fates
from client.data.findings import UNKNOWN, not_checked_of, warnings_of
from client.data.identity import coinciding, contradictions, differing_in_case, shared_patient_ids
from client.data.image_file import ImageFile
from client.data.labels import LabelTable
from client.data.listing import Listed, listed_images, listed_rows
from client.data.matching import Matching, Outcomes
from client.data.problems import problems_of
from client.imaging.subject import not_stated, other_than_frontal_chest
from client.settings import SiteSettings
from shared.metrics.grades import is_grade

_SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class AdmissionReport(AdmissionCounts):
    """The counts of one admission with their sentences; it stays at the site."""

    @property
    def problems(self) -> tuple[str, ...]:
        """Why this site cannot train, the most important sentence first; empty if it can."""
        return tuple(problems_of(self))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the site's owner should look at; training goes on."""
        return tuple(warnings_of(self))

    @property
    def not_checked(self) -> tuple[str, ...]:
        """What could not be checked, for who asks for the report; a run does not repeat it."""
        return tuple(not_checked_of(self))

    def to_json(self, *, listed: bool = False) -> dict[str, Any]:
        """Counts and sentences for programs; names of files and patients only where `listed`."""
        record = {
            key: dict(value) if isinstance(value, Mapping) else value
            for key, value in dataclasses.asdict(self).items()
            if key not in ("rejected", "ambiguous_images", "ambiguous_files", "listed", "outcome")
        }
        if listed:
            record["listed"] = [dataclasses.asdict(item) for item in self.listed]
        return record | {
            "counts": self.counts.to_json(),
            "rejected": len(self.rejected),
            "rejected_by_reason": self.rejected_by_reason,
            "problems": list(self.problems),
            "warnings": list(self.warnings),
            "not_checked": list(self.not_checked),
        }


@dataclass(frozen=True)
class Found:
    """What admission read at a site, and what it decided; `files` and `fates.each` go together."""

    table: LabelTable
    files: Sequence[ImageFile]
    outcomes: Outcomes
    matching: Matching
    covariates: Covariates
    fates: Fates
    cohort: Cohort


def make_report(settings: SiteSettings, found: Found) -> AdmissionReport:
    """Count what was found."""
    table, outcomes, matching, fates = found.table, found.outcomes, found.matching, found.fates
    patients, grades = found.cohort.patients(), found.cohort.covariates().values()
    contradicting = _contradicting(settings, table, fates)
    return AdmissionReport(
        site=settings.name,
        images_found=len(found.files),
        images_admitted=len(fates.admitted),
        rejected=fates.rejected,
        duplicates=fates.count("duplicate"),
        images_without_label=fates.count("without label"),
        images_meant_by_rows=_meant_by_rows(found),
        images_of_unused_outcome=fates.count("unused outcome"),
        images_of_contradictory_patients=fates.count("contradictory"),
        images_of_other_subjects=fates.count(OTHER),
        label_rows=len(table.rows),
        labels_without_image=matching.labels_without_image,
        labels_nearly_matched=matching.labels_nearly_matched,
        labels_without_patient=table.without_patient,
        missing_outcomes=outcomes.missing,
        excluded_outcomes=outcomes.excluded,
        contradictory_patients=len(outcomes.contradictory),
        coinciding_patients=coinciding(patients),
        patients_differing_in_case=differing_in_case(patients),
        shared_patient_ids=shared_patient_ids(fates.admitted),
        unreadable_covariates=table.unreadable_covariates,
        contradictory_covariates=len(found.covariates.contradictory & patients.keys()),
        covariate_values=len(set(grades)),
        covariate_is_grade=is_grade(grades),
        counts=found.cohort.counts(),
        **_tallies(fates),
        **_subjects(found),
        **_cache_use(found.files),
        ambiguous_images=matching.ambiguous_images,
        ambiguous_files=matching.ambiguous_files,
        images_vanished=fates.vanished,
        unmatched_rows=_counted(reason for reason, _ in matching.unmatched_rows.values()),
        bad_rows=_counted(row.reason for row in table.bad_rows),
        adapted=dict(matching.adapted),
        contradicting_patient_ids=len(contradicting),
        left_out=count_left_out(settings.images),
        table_notes=table.notes,
        listed=tuple(_listed(found, contradicting)),
        rejected_share=fates.rejected_share,
        max_rejected=settings.max_rejected,
        outcome=found.cohort.outcome,
    )


def _contradicting(settings: SiteSettings, table: LabelTable, fates: Fates) -> dict[str, str]:
    """File -> what its Patient ID says instead; none where the Patient ID itself was matched."""
    if settings.image is None:
        return {}
    places = contradictions(fates.admitted, {row.patient for row in table.rows})
    found = {}
    for file, radiograph in (fates.admitted[place] for place in places):
        assert file.content.facts is not None
        found[file.relative] = (
            f"its Patient ID is '{file.content.facts.patient_id}', but the table has it for "
            f"'{radiograph.patient}'"
        )
    return found


def _meant_by_rows(found: Found) -> int:
    """How many images without a row are likely those of rows without an image: one mistake each."""
    alone, meant = found.matching.unmatched_rows, found.matching.meant_by
    return sum(
        fate.kind == "without label" and not alone.keys().isdisjoint(meant.get(place, ()))
        for place, fate in enumerate(found.fates.each)
    )


def _counted(reasons: Iterable[str]) -> dict[str, int]:
    return dict(Counter(reasons).most_common())


def _listed(found: Found, contradicting: dict[str, str]) -> Iterator[Listed]:
    yield from listed_images(
        found.files, found.fates.each, found.table, found.matching, contradicting
    )
    yield from listed_rows(found.table, found.outcomes, found.matching)


def _tallies(fates: Fates) -> dict[str, Any]:
    """Over the admitted images whose headers say something, by the report's fields."""
    facts = [file.content.facts for file, _ in fates.admitted if file.content.facts is not None]
    return {
        "formats": _tally(item.format for item in facts),
        "photometric_interpretations": _tally(item.photometric for item in facts),
        "bits": _tally(str(item.bits) for item in facts),
        "views": _tally(item.view for item in facts),
        "burned_in_annotations": _tally(item.burned_in_annotation for item in facts),
        "modalities": _tally(item.modality for item in facts),
        "body_parts": _tally(item.body_part for item in facts),
        "transfer_syntaxes": _tally(item.transfer_syntax for item in facts),
        "presentation_intents": _tally(item.presentation_intent for item in facts),
        "remarks": _tally(remark for item in facts for remark in item.remarks),
    }


def _subjects(found: Found) -> dict[str, Any]:
    """Of the images that are admitted, or left out for it: what shows no frontal chest."""
    facts = [
        file.content.facts
        for file, fate in zip(found.files, found.fates.each, strict=True)
        if fate.kind in ("admitted", OTHER) and file.content.facts is not None
    ]
    others = [tuple(other_than_frontal_chest(item)) for item in facts]
    missing = [tuple(not_stated(item)) for item in facts]
    return {
        "other_subjects": _counted(reason for reasons in others for reason in reasons),
        "images_flagged_as_other": sum(map(bool, others)) - found.fates.count(OTHER),
        "not_stated": _counted(name for names in missing for name in names),
        "images_not_checked": sum(map(bool, missing)),
    }


def _tally(values: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(value or UNKNOWN for value in values).items()))


def _cache_use(files: Sequence[ImageFile]) -> dict[str, Any]:
    """How many readable images came from the cache and how many did not, by the report's fields."""
    readable = {file.digest: file.content for file in files if file.content.reason is None}
    stored = [one.stored_at for one in readable.values() if one.stored_at is not None]
    days = max(0.0, (time.time() - min(stored)) / _SECONDS_A_DAY) if stored else None
    decoded = len(readable) - len(stored)
    return {"cached": len(stored), "decoded": decoded, "oldest_cache_days": days}
