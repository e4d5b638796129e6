"""What admission found at a site, in counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from client.data.cohort import ClassCounts
from client.data.listing import Listed
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome


@dataclass(frozen=True)
class AdmissionCounts:
    """Counts of one admission; it stays at the site.

    Every image file is admitted, rejected, a duplicate, without label, of an outcome that is not
    used or that contradicts another of its patient, or of another subject than its owner wants
    (`frontal-chest-only`): these seven add up to `images_found`.
    Files of equal pixels are duplicates, or all rejected where they are of several patients.
    `rejected` lists (path relative to the images folder, reason) and is left out of `to_json`,
    since file names may identify patients. The tallies are over admitted images, those of
    identifiers and covariates over admitted patients.
    `images_vanished` are labelled images that the table gives and that cannot be had; they count
    in `rejected_share`. `other_subjects` says of the images that are not admitted or, where nothing
    forbids them, flagged, what their header has that a frontal chest radiograph has not;
    `not_stated` what is not in the header of others, which is not checked then.
    `images_meant_by_rows` of the images without label are likely meant by rows without an image.
    `unmatched_rows` and `bad_rows` count by reason; `listed` names each.
    """

    site: str
    images_found: int
    images_admitted: int
    rejected: tuple[tuple[str, str], ...] = field(repr=False)
    duplicates: int
    images_without_label: int
    images_meant_by_rows: int
    images_of_unused_outcome: int
    images_of_contradictory_patients: int
    images_of_other_subjects: int
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
    other_subjects: Mapping[str, int]
    images_flagged_as_other: int
    not_stated: Mapping[str, int]
    images_not_checked: int
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
    outcome: Outcome = BINARY

    @property
    def rejected_by_reason(self) -> dict[str, int]:
        """How many images were set aside for each reason, the commonest first."""
        return dict(Counter(reason for _, reason in self.rejected).most_common())
