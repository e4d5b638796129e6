"""What admission found at a site, in counts."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from client.data.cohort import ClassCounts
from client.data.findings import warnings_of
from client.data.listing import Listed
from client.data.problems import problems_of


@dataclass(frozen=True)
class AdmissionReport:
    """Counts of one admission; it stays at the site.

    Every image file is admitted, rejected, a duplicate, without label, or of an outcome that is
    not used or that contradicts another of its patient: these six add up to `images_found`.
    Files of equal pixels are duplicates, or all rejected where they are of several patients.
    `rejected` lists (path relative to the images folder, reason) and is left out of `to_json`,
    since file names may identify patients. The tallies are over admitted images, those of
    identifiers and covariates over admitted patients.
    `images_vanished` are labelled images that the table gives and that cannot be had; they count
    in `rejected_share`. `unmatched_rows` and `bad_rows` count by reason; `listed` names each.
    """

    site: str
    images_found: int
    images_admitted: int
    rejected: tuple[tuple[str, str], ...] = field(repr=False)
    duplicates: int
    images_without_label: int
    images_of_unused_outcome: int
    images_of_contradictory_patients: int
    label_rows: int
    labels_without_image: int
    labels_nearly_matched: int
    labels_without_patient: int
    missing_outcomes: int
    excluded_outcomes: Mapping[str, int]
    contradictory_patients: int
    coinciding_patients: int
    patients_differing_in_case: int
    shared_patient_ids: int
    unreadable_covariates: int
    contradictory_covariates: int
    covariate_values: int
    covariate_is_grade: bool
    counts: ClassCounts
    formats: Mapping[str, int]
    photometric_interpretations: Mapping[str, int]
    bits: Mapping[str, int]
    views: Mapping[str, int]
    burned_in_annotations: Mapping[str, int]
    modalities: Mapping[str, int]
    body_parts: Mapping[str, int]
    transfer_syntaxes: Mapping[str, int]
    presentation_intents: Mapping[str, int]
    remarks: Mapping[str, int]
    cached: int
    decoded: int
    oldest_cache_days: float | None
    ambiguous_images: tuple[str, ...] = field(repr=False)
    ambiguous_files: tuple[str, ...] = field(repr=False)
    images_vanished: int
    unmatched_rows: Mapping[str, int]
    bad_rows: Mapping[str, int]
    adapted: Mapping[str, int]
    contradicting_patient_ids: int
    left_out: Mapping[str, int]
    table_notes: tuple[str, ...]
    listed: tuple[Listed, ...] = field(repr=False)
    rejected_share: float
    max_rejected: float

    @property
    def rejected_by_reason(self) -> dict[str, int]:
        """How many images were set aside for each reason, the commonest first."""
        return dict(Counter(reason for _, reason in self.rejected).most_common())

    @property
    def problems(self) -> tuple[str, ...]:
        """Why this site cannot train, the most important sentence first; empty if it can."""
        return tuple(problems_of(self))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the site's owner should look at; training goes on."""
        return tuple(warnings_of(self))

    def to_json(self, *, listed: bool = False) -> dict[str, Any]:
        """Counts and sentences for programs; names of files and patients only where `listed`."""
        record = {
            key: dict(value) if isinstance(value, Mapping) else value
            for key, value in dataclasses.asdict(self).items()
            if key not in ("rejected", "ambiguous_images", "ambiguous_files", "listed")
        }
        if listed:
            record["listed"] = [dataclasses.asdict(item) for item in self.listed]
        return record | {
            "counts": self.counts.to_json(),
            "rejected": len(self.rejected),
            "rejected_by_reason": self.rejected_by_reason,
            "problems": list(self.problems),
            "warnings": list(self.warnings),
        }
