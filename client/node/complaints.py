"""What a site's owner hears of messages that were not answered: in the log, and by `[notify]`.

A coordinator asks again and again, for one plan and then for another; each reason is said once an
hour at most, and of ever new ones no more than a few an hour.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from client.node.pending import NotApproved
from client.settings import APPROVAL, FAILED, read_notify, read_site_name
from shared.deployment.notify import tell_in_background
from shared.errors import FedThawError
from shared.plain import shown

log = logging.getLogger("fedthaw.site")

AGAIN_SECONDS = 3600.0
MOST_AN_HOUR = 30
"""New reasons; with more a coordinator could fill a disk, or somebody's mailbox."""
_LONGEST = 4000
"""Characters of a reason; it may quote the run's settings."""


@dataclass
class Complaints:
    """What was said, and when, by a clock that never goes back."""

    folder: Path
    clock: Callable[[], float] = time.monotonic
    _said: dict[str, float] = field(default_factory=dict)

    def hear(self, error: FedThawError) -> None:
        """Log why a message was not answered and notify of it, unless that was said lately."""
        text = shown(str(error)[:_LONGEST])
        if self._is_new(text):
            log.error("%s", text)
            self._notify(APPROVAL if isinstance(error, NotApproved) else FAILED, error.shareable)

    def hear_reply(self, reason: str) -> None:
        """Notify of an error reply; the process that does the work has logged it."""
        if self._is_new(reason):
            self._notify(FAILED, reason)

    def _is_new(self, text: str) -> bool:
        now = self.clock()
        self._said = {one: at for one, at in self._said.items() if now < at + AGAIN_SECONDS}
        if text in self._said or len(self._said) > MOST_AN_HOUR:
            return False
        self._said[text] = now
        if len(self._said) > MOST_AN_HOUR:
            log.error(
                "More than %d different reasons within an hour: no further ones are logged here; "
                "`fedthaw site log` and `fedthaw site approve` have them.", MOST_AN_HOUR,
            )  # fmt: skip
            return False
        return True

    def _notify(self, event: str, reason: str) -> None:
        """Only what may be shared is sent: it may leave this machine."""
        try:
            settings, name = read_notify(self.folder), read_site_name(self.folder)
        except FedThawError as error:
            log.error("Nobody is notified: %s", error)
            return
        if tell_in_background(settings, event, facts_of(name, event, reason), log) is not None:
            log.info("Notifying of this.")


def facts_of(site: str, event: str, reason: str) -> dict[str, str]:
    """What is sent; `text` is for chats, which show it."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    what = "a plan waits for approval" if event == APPROVAL else "a message was not answered"
    text = f"FedThaw: {what} at site {site}: {reason}"
    return {"site": site, "state": event, "reason": reason, "at": when, "text": text}
