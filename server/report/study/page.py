"""The page of a study from its sections."""

from __future__ import annotations

from collections.abc import Callable

from server.report.html import Html
from server.report.page import page
from server.report.study.arms import arms_section
from server.report.study.data import StudyReport
from server.report.study.differences import differences_section
from server.report.study.outcome import study_outcome
from server.report.study.reading import reading_section
from server.report.study.setup import setup_section
from server.report.study.thresholds import thresholds_section

_SECTIONS: tuple[tuple[str, str, Callable[[StudyReport], Html]], ...] = (
    ("arms", "The arms", arms_section),
    ("differences", "Differences", differences_section),
    ("thresholds", "Calibration and thresholds", thresholds_section),
    ("setup", "Configuration", setup_section),
    ("reading", "Reading this page", reading_section),
)


def study_page(report: StudyReport) -> str:
    """The page of a study, complete in itself: no script, and nothing that is fetched."""
    sections = [(name, title, build(report)) for name, title, build in _SECTIONS]
    return page(f"FedThaw study {report.name}", study_outcome(report), sections)
