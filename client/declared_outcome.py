"""What a site's table says is predicted: the outcome, and in words for its owner's simulations."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from client.settings import SiteSettings, load_site, read_outcome
from shared.errors import SiteError
from shared.outcome.agreement import disagreement
from shared.outcome.binary import BINARY, POSITIVE
from shared.outcome.encoding import LabelsEncoding
from shared.settings.config import LONGEST_FINDING, RunConfig

_YES = frozenset({"1", "yes", "y", "true", "t", "positive", "pos", "present", "+"})
"""Values that say no more than the column's name does."""


def common_outcome(folders: Sequence[Path]) -> str:
    """The outcome that these sites declare, as the run's setting; binary where none can be read.

    SiteError where they differ.
    """
    declared: dict[str, str] = {}
    for folder in folders:
        with suppress(SiteError):  # said when the site is opened
            declared[folder.name] = str(read_outcome(folder))
    kinds = list(dict.fromkeys(declared.values()))
    if len(kinds) > 1:
        first, other = (next(n for n in declared if declared[n] == kind) for kind in kinds[:2])
        raise SiteError(
            f"The sites declare different outcomes: {first} has '{kinds[0]}', {other} has "
            f"'{kinds[1]}'. All must have the same classes or labels in the same order; correct "
            "[data] in their site.toml."
        )
    return kinds[0] if kinds else BINARY.kind


def require_outcome(settings: SiteSettings, config: RunConfig) -> None:
    """SiteError where a site's table says something else of patients than the run predicts."""
    own = settings.encoding.outcome
    if own != config.predicts:
        declared = f"declares the outcome '{own}', and the run predicts '{config.outcome}'"
        why = disagreement(str(own), config.outcome)
        raise SiteError(
            f"site.toml of {settings.name} {declared}: {why}. Correct [data] there, or take a "
            "run that predicts it.",
            shareable=f"its site.toml {declared}: {why}",
        )


def common_finding(folders: Sequence[Path]) -> str:
    """The finding as all of these sites name it; "" where they differ or one cannot be read."""
    try:
        names = {named_finding(load_site(folder)) for folder in folders}
    except SiteError:
        return ""
    return names.pop() if len(names) == 1 else ""


def named_finding(settings: SiteSettings) -> str:
    """Column and positive values: `viral (etiology)`, or `pneumonia` where its values are 0 and 1.

    Of several classes the column alone, of several labels their names. "" where that is longer than
    a finding's name may be.
    """
    encoding = settings.encoding
    if isinstance(encoding, LabelsEncoding):
        return _short(", ".join(encoding.outcome.names))
    if encoding.outcome != BINARY:
        return _short(settings.outcome.replace("_", " "))
    values = encoding.values[encoding.outcome.classes.index(POSITIVE)]
    column = settings.outcome.replace("_", " ")
    name = column if _YES.issuperset(values) else f"{' or '.join(values)} ({column})"
    return _short(name)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_FINDING else ""
