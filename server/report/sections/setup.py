"""How the run was set up: settings, versions and digests."""

from __future__ import annotations

from pathlib import PurePath

from server.report.data import Report
from server.report.html import Html, element, paragraph, section, table
from shared.model.registry import former_settings
from shared.settings.config import RunConfig

_OF_THIS_MACHINE = frozenset({"out", "sites", "resume"})
"""Settings that name folders, not of the run."""
_NAMED_BY_PATH = ("weights", "teacher")
"""Settings that may be a path, of which the last name is shown."""


def setup_section(report: Report) -> Html:
    """Settings that differ from the defaults, then all of them, versions and digests."""
    given, usual = _flat(report.config), _flat(RunConfig())
    changed = [(key, value, usual[key]) for key, value in given.items() if value != usual[key]]
    same = [(key, value) for key, value in given.items() if value == usual[key]]
    head = ("setting", "value", "default")
    differing = paragraph("All settings have their defaults.")
    if changed:
        caption = "Settings that differ from the defaults"
        differing = table(caption, head, changed, text_columns=(1, 2))
    return section(
        "setup",
        "Configuration",
        element("div", differing, _versions(report), class_="plots"),
        element(
            "details",
            element("summary", f"The other {len(same)} settings, with their defaults"),
            table("Settings with their defaults", head[:2], same, text_columns=(1,)),
        ),
        _digests(report),
        paragraph(
            "Folders of the coordinator's machine are left out; config.json has them.",
            class_="note",
        ),
    )


def _flat(config: RunConfig) -> dict[str, str]:
    without = _OF_THIS_MACHINE | former_settings().keys()  # earlier names of other settings
    flat = {k: v for k, v in config.to_flat().items() if k not in without}
    texts = {key: _text(value) for key, value in flat.items()}
    return texts | {key: PurePath(texts[key]).name or texts[key] for key in _NAMED_BY_PATH}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "(empty)" if value == "" else str(value)


def _versions(report: Report) -> Html:
    rows = [(name, found or "not installed") for name, found in report.origin.versions.items()]
    return table("Versions at the coordinator", ("package", "version"), rows, text_columns=(1,))


def _digests(report: Report) -> Html:
    origin = report.origin
    rows = [
        (
            f"base ({origin.base_source})" if origin.base_source else "base",
            _code(origin.base_digest),
        )
    ]
    rows += [(name, _code(f"sha256:{digest}")) for name, digest in origin.files.items()]
    caption = f"Digests; the run began at {origin.created}" if origin.created else "Digests"
    return table(caption, ("what", "digest"), rows, text_columns=(1,))


def _code(text: str) -> Html:
    return element("code", text)
