"""What differs at a site between two of its rounds, said when it happens."""

from __future__ import annotations

from collections.abc import Sequence

from server.run.ledger import RoundRecord, SiteRound
from shared.run.events import Warned, emit


def warn_of_changes(
    record: RoundRecord, earlier: Sequence[RoundRecord], *, for_others: bool = False
) -> None:
    """Say when a site trains on other data than before, or has lost what it remembered.

    How much it is then is said to the owner of all sites alone, not `for_others`.
    """
    for name, site in record.sites.items():
        before = next((r for r in reversed(earlier) if name in r.sites), None)
        if before is None:
            continue
        then = before.sites[name]
        if (site.images, site.patients) != (then.images, then.patients):
            what = (
                f"trains on other data than in round {before.round}"
                if for_others
                else f"trains on {_data(site)}; in round {before.round} it was {_data(then)}"
            )
            emit(
                Warned(
                    f"{name} {what}. Its training and validation patients may have mixed: start a "
                    "new run for a clean evaluation."
                )
            )
        if before.plan["phase"] == record.plan["phase"]:
            _compare_memory(name, site.continued_from, before.round)


def _compare_memory(name: str, continued_from: int, last: int) -> None:
    """Say when a site went on from another round than the last in which its training was used."""
    if continued_from == last:
        return
    what = (
        f"has lost its optimiser's state of round {last} (its cache was cleared or moved) and went "
        f"on from round {continued_from}"
        if continued_from < last
        else f"went on from round {continued_from}, its training of which was not used"
    )
    emit(Warned(f"{name} {what}; the run is valid, but not bit-identical to an uninterrupted one."))


def _data(site: SiteRound) -> str:
    return f"{site.images} images of {site.patients} patients"
