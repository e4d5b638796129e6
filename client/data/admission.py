"""Admission: everything at a site read once, and everything that is wrong said at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from client.data.cache import ImageCache
from client.data.cohort import Cohort
from client.data.fates import count_vanished, covariates_of, decide_fates
from client.data.image_file import ImageFile
from client.data.labels import LabelRow, read_labels
from client.data.matching import Matching, classify, match_by_image
from client.data.patient_matching import match_by_patient
from client.data.problems import is_in_colour, lacks_colour
from client.data.reading import read_images
from client.data.report import AdmissionReport, Found, make_report
from client.settings import SiteSettings
from shared.errors import SiteError


@dataclass(frozen=True)
class Admission:
    """The admitted radiographs, their pixels in the site's cache, and the report."""

    cohort: Cohort
    report: AdmissionReport


def admit(
    settings: SiteSettings,
    image_size: int,
    image_fit: str,
    on_image: Callable[[int, int], None] | None = None,
    *,
    channels: int = 1,
) -> Admission:
    """Read labels and images of a site, fill its cache, and decide what can be used.

    Images are read grey, or with 3 `channels` in colour. `on_image(done, total)` follows those of
    differing content. A bad image is set aside and counted. Raises SiteError only for what stops
    the reading: the table, a folder, the cache; `require_trainable` judges the rest.
    """
    table = read_labels(settings)
    cache = ImageCache(settings.cache, image_size, image_fit, channels)
    cache.remove_leftovers()
    files = read_images(settings.images, cache, image_fit, settings.maximum_pixels, on_image)
    outcomes = classify(settings, table.rows)
    matching = _match(settings, table.rows, files)
    covariates = covariates_of(table.rows, outcomes.classes)
    vanished = count_vanished(settings, table, outcomes, matching)
    fates = decide_fates(
        table.rows, outcomes, covariates, matching, files, vanished,
        frontal_chest_only=settings.frontal_chest_only,
    )  # fmt: skip
    radiographs = tuple(radiograph for _, radiograph in fates.admitted)
    cohort = Cohort(settings.name, radiographs, settings.encoding.outcome)
    found = Found(table, files, outcomes, matching, covariates, fates, cohort)
    return Admission(cohort, make_report(settings, found))


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


_WHERE = "`fedthaw site check` there says more"


@contextmanager
def shareably(report: AdmissionReport) -> Iterator[None]:
    """Give a SiteError about this admission a sentence for the coordinator."""
    try:
        yield
    except SiteError as error:
        raise SiteError(str(error), shareable=kind_of_problem(report)) from error


def kind_of_problem(report: AdmissionReport) -> str:
    """The first that applies, the most fundamental first."""
    if report.images_found == 0:
        return f"there is no image in its images folder; {_WHERE}"
    if lacks_colour(report):
        return f"its images are greyscale, but the run reads colour (image-colour=rgb); {_WHERE}"
    if is_in_colour(report):
        return (
            f"its images are in colour, but the run reads greyscale (image-colour=grey); {_WHERE}"
        )
    if report.rejected_share > report.max_rejected:
        return f"more of its images are set aside than its max-rejected allows; {_WHERE}"
    if report.counts.patients == 0:
        return f"none of its images has a usable outcome; {_WHERE}"
    if report.ambiguous_images or report.ambiguous_files or report.coinciding_patients:
        return f"its table does not say without doubt which image is whose; {_WHERE}"
    return f"it has too few patients of one class to train and to validate on; {_WHERE}"
