"""Admission: everything at a site read once, and everything that is wrong said at once."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from client.data.cache import ImageCache
from client.data.cohort import Cohort, Radiograph
from client.data.covariates import Covariates, covariates_of
from client.data.discover import count_left_out
from client.data.findings import UNKNOWN
from client.data.identity import coinciding, contradictions, differing_in_case, shared_patient_ids
from client.data.labels import LabelRow, LabelTable, read_labels
from client.data.listing import Fate, listed_images, listed_rows
from client.data.matching import Matching, Outcomes, classify, match_by_image, match_by_patient
from client.data.reading import ImageFile, read_images
from client.data.report import SHARED, AdmissionReport
from client.data.table.delimited import LONGER
from client.imaging.facts import ImageFacts
from client.settings import SiteSettings
from shared.errors import SiteError
from shared.metrics.grades import is_grade

_SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Admission:
    """The admitted radiographs, their pixels in the site's cache, and the report."""

    cohort: Cohort
    report: AdmissionReport


@dataclass(frozen=True)
class _Sorted:
    """Each image file's fate; `rejected` is (relative path, reason)."""

    admitted: tuple[tuple[ImageFile, Radiograph], ...]
    rejected: tuple[tuple[str, str], ...]
    each: tuple[Fate, ...]
    rejected_share: float
    vanished: int

    @property
    def fates(self) -> Counter[str]:
        return Counter(fate.kind for fate in self.each)


def admit(
    settings: SiteSettings,
    image_size: int,
    image_fit: str,
    on_image: Callable[[int, int], None] | None = None,
) -> Admission:
    """Read labels and images of a site, fill its cache, and decide what can be used.

    `on_image(done, total)` follows the images of differing content. A bad image is set aside
    and counted. Raises SiteError only for what stops the reading: the table, a folder, the
    cache; `require_trainable` judges the rest.
    """
    table = read_labels(settings)
    cache = ImageCache(settings.cache, image_size, image_fit)
    cache.remove_leftovers()
    files = read_images(settings.images, cache, image_fit, settings.maximum_pixels, on_image)
    outcomes = classify(settings, table.rows)
    matching = _match(settings, table.rows, files)
    covariates = covariates_of(table.rows, outcomes.classes)
    vanished = _vanished(settings, table, outcomes, matching)
    fates = _sort(table.rows, outcomes, covariates, matching, files, vanished)
    cohort = Cohort(settings.name, tuple(radiograph for _, radiograph in fates.admitted))
    report = _report(settings, table, files, outcomes, matching, covariates, fates, cohort)
    return Admission(cohort, report)


def _report(
    settings: SiteSettings,
    table: LabelTable,
    files: Sequence[ImageFile],
    outcomes: Outcomes,
    matching: Matching,
    covariates: Covariates,
    fates: _Sorted,
    cohort: Cohort,
) -> AdmissionReport:
    facts = [file.picture.facts for file, _ in fates.admitted if file.picture.facts is not None]
    grades = cohort.covariates().values()
    pictures = {file.digest: file.picture for file in files if file.picture.reason is None}
    stored = [p.stored_at for p in pictures.values() if p.stored_at is not None]
    contradicting = _contradicting(settings, table, fates)
    return AdmissionReport(
        site=settings.name,
        images_found=len(files),
        images_admitted=len(fates.admitted),
        rejected=fates.rejected,
        duplicates=fates.fates["duplicate"],
        images_without_label=fates.fates["without label"],
        images_of_unused_outcome=fates.fates["unused outcome"],
        images_of_contradictory_patients=fates.fates["contradictory"],
        label_rows=len(table.rows),
        labels_without_image=matching.labels_without_image,
        labels_nearly_matched=matching.labels_nearly_matched,
        labels_without_patient=table.without_patient,
        missing_outcomes=outcomes.missing,
        excluded_outcomes=outcomes.excluded,
        contradictory_patients=len(outcomes.contradictory),
        coinciding_patients=coinciding(cohort.patients()),
        patients_differing_in_case=differing_in_case(cohort.patients()),
        shared_patient_ids=shared_patient_ids(fates.admitted),
        unreadable_covariates=table.unreadable_covariates,
        contradictory_covariates=len(covariates.contradictory & cohort.patients().keys()),
        covariate_values=len(set(grades)),
        covariate_is_grade=is_grade(grades),
        counts=cohort.counts(),
        **_tallies(facts),
        cached=len(stored),
        decoded=len(pictures) - len(stored),
        oldest_cache_days=_days_since(min(stored)) if stored else None,
        ambiguous_images=matching.ambiguous_images,
        ambiguous_files=matching.ambiguous_files,
        images_vanished=fates.vanished,
        unmatched_rows=_counted(reason for reason, _ in matching.unmatched_rows.values()),
        bad_rows=_counted(row.reason for row in table.bad_rows),
        adapted=dict(matching.adapted),
        contradicting_patient_ids=len(contradicting),
        left_out=count_left_out(settings.images),
        table_notes=table.notes,
        listed=(
            *listed_images(files, fates.each, matching, contradicting),
            *listed_rows(table, outcomes, matching),
        ),
        rejected_share=fates.rejected_share,
        max_rejected=settings.max_rejected,
    )


def _contradicting(settings: SiteSettings, table: LabelTable, fates: _Sorted) -> dict[str, str]:
    """File -> what its Patient ID says instead; none where the Patient ID itself was matched."""
    if settings.image is None:
        return {}
    places = contradictions(fates.admitted, {row.patient for row in table.rows})
    found = {}
    for file, radiograph in (fates.admitted[place] for place in places):
        assert file.picture.facts is not None
        found[file.relative] = (
            f"its Patient ID is '{file.picture.facts.patient_id}', but the table has it for "
            f"'{radiograph.patient}'"
        )
    return found


def _counted(reasons: Iterable[str]) -> dict[str, int]:
    return dict(Counter(reasons).most_common())


def _match(
    settings: SiteSettings, rows: Sequence[LabelRow], files: Sequence[ImageFile]
) -> Matching:
    if settings.image is None:
        return match_by_patient(rows, files)
    return match_by_image(settings, rows, files)


def require_trainable(admission: Admission) -> None:
    """Raise SiteError with all the problems of the report, if there are any."""
    if admission.report.problems:
        raise SiteError(" ".join(admission.report.problems))


def _sort(
    rows: Sequence[LabelRow],
    outcomes: Outcomes,
    covariates: Covariates,
    matching: Matching,
    files: Sequence[ImageFile],
    vanished: int,
) -> _Sorted:
    shared = _shared_pictures(rows, matching, files)
    admitted: dict[str, tuple[ImageFile, Radiograph]] = {}
    rejected: list[tuple[str, str]] = []
    each: list[Fate] = []
    relevant = 0
    for file, numbers, could_match in zip(files, matching.rows, matching.could_match, strict=True):
        reason = file.picture.reason or (SHARED if _identity(file) in shared else None)
        usable = [number for number in numbers if outcomes.classes[number] is not None]
        if reason is not None:
            rejected.append((file.relative, reason))
            relevant += could_match
            fate = Fate("rejected", reason)
        elif not numbers:
            fate = Fate("without label")
        elif rows[numbers[0]].patient in outcomes.contradictory:
            fate = Fate("contradictory", "its patient has contradictory outcomes")
        elif not usable:
            fate = Fate("unused outcome", _unused(rows[numbers[0]]))
        elif _identity(file) in admitted:
            first = admitted[_identity(file)][0].relative
            fate = Fate("duplicate", f"the same picture as {first}")
        else:
            patient = rows[numbers[0]].patient
            radiograph = Radiograph(
                digest=file.digest,
                patient=patient,
                label=int(outcomes.classes[usable[0]] == 1),
                covariate=covariates.of_patient.get(patient),
            )
            admitted[_identity(file)] = (file, radiograph)
            fate = Fate("admitted")
        each.append(fate)
    unlabelled = sum(fate.kind == "without label" for fate in each)
    labelled = relevant + vanished + len(files) - len(rejected) - unlabelled
    share = (relevant + vanished) / labelled if labelled else 0.0
    return _Sorted(tuple(admitted.values()), tuple(rejected), tuple(each), share, vanished)


def _unused(row: LabelRow) -> str:
    return f"outcome '{row.outcome}' in neither list" if row.outcome else "no outcome"


def _vanished(
    settings: SiteSettings, table: LabelTable, outcomes: Outcomes, matching: Matching
) -> int:
    """How many labelled images the table gives that cannot be had.

    Those of rows that are set aside, and, where the table names each image, those that no file
    answers to. A table of patients alone may well know more of them than have an image here.
    """
    known = {*settings.positive, *settings.negative}
    lost = sum(
        # Where cells have moved, nobody knows which of them is the outcome.
        row.reason == LONGER or (row.outcome in known and bool(row.image or row.patient))
        for row in table.bad_rows
    )
    if settings.image is None:
        return lost
    missing = {
        row.image
        for number, row in enumerate(table.rows)
        if number in matching.unmatched_rows and row.image and outcomes.classes[number] is not None
    }
    return lost + len(missing)


def _identity(file: ImageFile) -> str:
    """What makes two files one image: their preprocessed pixels, in whatever bytes they came."""
    return file.picture.fingerprint or file.digest


def _shared_pictures(
    rows: Sequence[LabelRow], matching: Matching, files: Sequence[ImageFile]
) -> frozenset[str]:
    """Identities of the images whose files or rows name more than one patient."""
    patients: dict[str, set[str]] = defaultdict(set)
    for file, numbers in zip(files, matching.rows, strict=True):
        patients[_identity(file)].update(rows[number].patient for number in numbers)
    return frozenset(identity for identity, named in patients.items() if len(named) > 1)


def _tallies(facts: Sequence[ImageFacts]) -> dict[str, dict[str, int]]:
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


def _tally(values: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(value or UNKNOWN for value in values).items()))


def _days_since(moment: float) -> float:
    return max(0.0, (time.time() - moment) / _SECONDS_A_DAY)
