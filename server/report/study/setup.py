"""How a study was made: its arms, settings, versions and digests."""

from __future__ import annotations

from collections.abc import Mapping

from server.report.html import Html, element, section, table
from server.report.study.data import StudyReport, named
from server.results.plan import Arm
from shared.settings.setting import Scalar, value_in_words


def setup_section(report: StudyReport) -> Html:
    """What every arm sets, what all of them share, and what it ran with."""
    arms = report.result.plan.arms
    rows = [(arm.name, _sites(report, arm), _settings(arm.settings)) for arm in arms]
    versions = list(report.versions.items())
    shared = [(key, value_in_words(value)) for key, value in report.settings.items()]
    digests = [
        ("base of the first arm", element("code", report.base_digest)),
        ("study.json", element("code", f"sha256:{report.result_digest}")),
    ]
    head = ("arm", "sites", "settings of its own")
    return section(
        "setup",
        "Configuration",
        table("Arms, in the order given", head, rows, text_columns=(1, 2)),
        element(
            "div",
            table("Settings of all arms", ("setting", "value"), shared, text_columns=(1,)),
            table("Versions", ("package", "version"), versions, text_columns=(1,)),
            class_="plots",
        ),
        table("Digests", ("what", "digest"), digests, text_columns=(1,)),
    )


def _sites(report: StudyReport, arm: Arm) -> str:
    names = ", ".join(arm.sites or report.result.sites)
    return f"{names}, all data in one place" if arm.pooled else names


def _settings(settings: Mapping[str, Scalar]) -> str:
    texts = (f"{key}={value_in_words(named(key, value))}" for key, value in settings.items())
    return ", ".join(texts) or "none"
