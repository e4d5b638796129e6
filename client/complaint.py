"""What the owner of a deployed site reads of its problems: each once, and when it is over."""

from __future__ import annotations

import logging

log = logging.getLogger("fedthaw.site")

_said: dict[str, str] = {}
"""By site: why it cannot take part, as it was said last."""


def complain(site: str, story: str) -> None:
    """Log why the site cannot take part, unless that was said last: it is asked again and again."""
    if _said.get(site) != story:
        log.error("This site cannot take part: %s It is asked again by itself.", _sentence(story))
    _said[site] = story


def no_complaint(site: str) -> None:
    """Log that the problem is over, where there was one."""
    if _said.pop(site, None) is not None:
        log.warning("What kept this site from taking part is fixed; it takes part.")


def _sentence(story: str) -> str:
    return story if story.endswith((".", "?")) else f"{story}."
