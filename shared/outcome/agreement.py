"""What two outcomes disagree in, in words for who declared one of them."""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors import ConfigError
from shared.outcome.outcome import Outcome
from shared.outcome.registry import parse_outcome

_ANY = "both must have the same classes or labels in the same order"


def disagreement(declared: str, predicted: str) -> str:
    """What differs between a site's outcome and a run's, as settings write them.

    A site may send any text as its outcome; where it is no outcome, nothing more can be said.
    """
    try:
        site, run = parse_outcome(declared), parse_outcome(predicted)
    except ConfigError:
        return _ANY
    if site.kind != run.kind:
        return _of_kinds(site, run)
    what = "labels" if site.kind == "labels" else "classes"
    missing, more = _without(run.names, site.names), _without(site.names, run.names)
    if [name.casefold() for name in site.names] == [name.casefold() for name in run.names]:
        return f"the {what} differ in upper and lower case alone"
    if not missing and not more:
        return f"the {what} are the same in another order, and all must have the same order"
    return " and ".join(
        [
            *([f"the site lacks {_listed(missing)}"] if missing else []),
            *([f"the run lacks {_listed(more)}"] if more else []),
        ]
    )


def _of_kinds(site: Outcome, run: Outcome) -> str:
    if site.names and site.names == run.names and {site.kind, run.kind} == {"classes", "ordinal"}:
        without = "the run does not" if site.kind == "ordinal" else "site.toml does not"
        remedy = "take `ordinal` out there" if site.kind == "ordinal" else "add `ordinal = true`"
        return (
            f"the classes are the same, but {without} say that they go from low to high "
            f"({remedy}, or change the run's `outcome`)"
        )
    return _ANY


def _without(names: Sequence[str], others: Sequence[str]) -> list[str]:
    return [name for name in names if name not in others]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
