"""Why a site cannot train, in words that may leave it: the kind of problem, and no number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from client.data.report import AdmissionReport
from shared.errors import SiteError

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
    if report.rejected_share > report.max_rejected:
        return f"more of its images are set aside than its max-rejected allows; {_WHERE}"
    if report.counts.patients == 0:
        return f"none of its images has a usable outcome; {_WHERE}"
    if report.ambiguous_images or report.ambiguous_files or report.coinciding_patients:
        return f"its table does not say without doubt which image is whose; {_WHERE}"
    return f"it has too few patients of one class to train and to validate on; {_WHERE}"
