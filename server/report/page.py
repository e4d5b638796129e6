"""The whole page from its sections."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

from server.report.classes.outcome import class_outcome
from server.report.classes.performance import class_performance_section
from server.report.classes.reading import class_reading_section
from server.report.classes.sites import class_sites_section
from server.report.data import Report
from server.report.html import Html, element, joined, paragraph
from server.report.sections.card import card_section
from server.report.sections.cost import cost_section
from server.report.sections.outcome import outcome, title_of
from server.report.sections.performance import performance_section
from server.report.sections.presence import presence_section
from server.report.sections.reading import reading_section
from server.report.sections.setup import setup_section
from server.report.sections.sites import sites_section
from server.report.sections.thawing import thawing_section
from server.report.style import STYLE
from shared.outcome.binary import BINARY

_SECTIONS: tuple[tuple[str, str, Callable[[Report], Html]], ...] = (
    ("performance", "Performance", performance_section),
    ("sites", "Sites", sites_section),
    ("training", "Training", thawing_section),
    ("sites-by-round", "Who took part", presence_section),
    ("cost", "Data and time", cost_section),
    ("card", "Model card", card_section),
    ("setup", "Configuration", setup_section),
    ("reading", "Reading this page", reading_section),
)


_OF_CLASSES: Mapping[str, Callable[[Report], Html]] = {
    "performance": class_performance_section,
    "sites": class_sites_section,
    "reading": class_reading_section,
}
"""In place of those above, where a run has several classes or labels."""


def run_page(report: Report) -> str:
    """The page of a run, complete in itself: no script, and nothing that is fetched."""
    many = report.config.predicts != BINARY
    own = _OF_CLASSES if many else {}
    sections = [(name, title, own.get(name, build)(report)) for name, title, build in _SECTIONS]
    top = class_outcome(report) if many else outcome(report)
    return page(f"{title_of(report)} - FedThaw", top, sections)


def page(title: str, head: Html, sections: Sequence[tuple[str, str, Html]]) -> str:
    """An HTML document with the style sheet in it, and links to its sections.

    A section is its identifier, its title and what is in it.
    """
    links = [element("a", name, href=f"#{identifier}") for identifier, name, _ in sections]
    content = (
        head,
        element("nav", *links, aria_label="Sections"),
        element("main", *(body for *_, body in sections)),
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    meta = joined(
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        # Whatever a file has smuggled in, a browser runs and fetches nothing.
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("title", title),
        element("style", Html(STYLE)),
    )
    foot = element("footer", paragraph(f"Made by fedthaw {version('fedthaw')}."))
    body = element("body", element("div", *content, foot, class_="page"))
    return f'<!doctype html>\n<html lang="en"><head>{meta}</head>{body}</html>\n'
