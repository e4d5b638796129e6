"""Why sites were refused or silent, as far as the page may show it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from shared.config import RunConfig

_OF_A_FOLDER = re.compile(r"[/\\]|(?<!\w)['\"]")
"""A path, or a name in quotation marks: an image's, which may be a patient's, or a column's."""
LEFT_OUT = "not shown here, as it names the site's own files; see the run's folder"


def shown_reasons(reasons: Mapping[str, str], config: RunConfig) -> dict[str, str]:
    """Reason by site, sorted.

    Deployed sites send sentences that may travel. In a simulation errors are shown in full, to the
    person whose folders these are; who is given the page is another.
    """
    own = bool(config.site_folders)
    return {
        name: LEFT_OUT if own and _OF_A_FOLDER.search(reason) else reason
        for name, reason in sorted(reasons.items())
    }
