"""What a site's table says is predicted, in words, for its owner's own simulations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from client.settings import SiteSettings, load_site
from shared.errors import SiteError
from shared.outcome.binary import POSITIVE
from shared.settings.config import LONGEST_FINDING

_YES = frozenset({"1", "yes", "y", "true", "t", "positive", "pos", "present", "+"})
"""Values that say no more than the column's name does."""


def common_finding(folders: Sequence[Path]) -> str:
    """The finding as all of these sites name it; "" where they differ or one cannot be read."""
    try:
        names = {named_finding(load_site(folder)) for folder in folders}
    except SiteError:
        return ""
    return names.pop() if len(names) == 1 else ""


def named_finding(settings: SiteSettings) -> str:
    """Column and positive values: `viral (etiology)`, or `pneumonia` where its values are 0 and 1.

    "" where that is longer than a finding's name may be.
    """
    encoding = settings.encoding
    values = encoding.values[encoding.outcome.classes.index(POSITIVE)]
    column = settings.outcome.replace("_", " ")
    name = column if _YES.issuperset(values) else f"{' or '.join(values)} ({column})"
    return name if len(name) <= LONGEST_FINDING else ""
