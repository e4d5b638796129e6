"""Going back on a round whose weights most sites could not use, and on without its cause."""

from __future__ import annotations

from collections.abc import Sequence

from server.federation.context import Federation
from server.federation.replies import ReceivedDivergedError
from server.run.folder import RunFolder
from server.run.ledger import (
    UNDONE,
    RoundRecord,
    SiteRound,
    cut_rounds,
    read_rounds,
    read_rounds_after,
)
from shared.errors import RunError
from shared.run.events import Warned, emit

SUSPICIOUS = 3.0
"""How many times the other sites' median an update must have been to be held responsible; honest
updates were at most 1.7 times as large (see aggregation/screen.py)."""


def suspect(record: RoundRecord) -> str | None:
    """The site whose update of this round stood out most, None where none did."""
    ratios = {name: site.update_ratio or 0.0 for name, site in sorted(record.sites.items())}
    worst = max(ratios, key=lambda name: ratios[name], default=None)
    return worst if worst is not None and ratios[worst] >= SUSPICIOUS else None


def undo_last_round(
    federation: Federation,
    folder: RunFolder,
    records: Sequence[RoundRecord],
    error: ReceivedDivergedError,
) -> None:
    """Set the last round aside and exclude the site whose update stood out in it.

    What is on disk says so from the first moment on, so that a run that is killed here goes on in
    the same way. Raises `error` where no update stood out, or there is no round to go back on, and
    RunError where too few sites would be left.
    """
    site = suspect(records[-1]) if records else None
    if site is None:
        raise error
    last, needed = records[-1], federation.config.min_sites
    left = len(last.sites) - 1
    blame = (
        f"most of the sites could not train from the weights of round {last.round}, and the "
        f"update of {site} stood out in it ({last.sites[site].update_ratio:g} times the other "
        "sites' median)"
    )
    if left < needed:
        raise RunError(
            f"The run cannot go on: {blame}. Without {site} there are {left} sites of at least "
            f"{needed} (min-sites). Find out what is wrong there, or continue without it with "
            f"--resume and min-sites={left}."
        ) from error
    exclude(federation, last.round, site, last.sites[site])
    emit(
        Warned(
            f"Round {last.round} is undone: {blame}. The run goes on without {site} from there; "
            f"what was undone is kept in {UNDONE}."
        )
    )
    cut_rounds(folder.ledger, last.round - 1, undone_for=site)


def exclude(federation: Federation, round_number: int, site: str, part: SiteRound) -> None:
    """Go on without this site, and remember why."""
    ratio = "" if part.update_ratio is None else f" ({part.update_ratio:g} times their median)"
    federation.excluded[site] = (
        f"excluded from this run: its update of round {round_number} stood out from the other "
        f"sites'{ratio}, and most of them could not train from that round's weights"
    )


def take_up_exclusions(federation: Federation, folder: RunFolder) -> None:
    """Exclude again whom the run before went on without.

    Where it was killed after it had said which round it would undo, that is done now.
    """
    for undone in read_rounds_after(folder.path / UNDONE, 0)[0]:
        site = undone.undone_for
        if site not in undone.sites:
            continue
        exclude(federation, undone.round, site, undone.sites[site])
        records = read_rounds(folder.ledger)
        if any(site in record.sites for record in records[undone.round - 1 :]):
            cut_rounds(folder.ledger, undone.round - 1)
