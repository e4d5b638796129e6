"""Every error that FedThaw raises on purpose.

    FedThawError                 exit code 1: something failed
    ├── UserError                exit code 2: the user can fix it
    │   ├── ConfigError          a run setting
    │   ├── SiteError            site.toml, labels, images or the cohort of a site
    │   └── WeightsError         a pretrained checkpoint
    ├── ImageRejected            one image is set aside; the run goes on
    ├── ProtocolError            a message between coordinator and site breaks the contract
    └── RunError                 a run cannot go on; it can be resumed

The message is a sentence for the person who can act: what is wrong, with the value, and what
would be right. It may name files and columns of a site, so it stays on the machine where it was
raised; `shareable` is the sentence that may travel to the coordinator.
"""

from __future__ import annotations

from typing import ClassVar

from shared.plain import shown, shown_lines

LONGEST_BREACH = 1000
"""Characters of a sentence about a message: it may quote what the other side has sent."""


class FedThawError(Exception):
    """Base of all errors raised on purpose."""

    exit_code: ClassVar[int] = 1
    default_shareable: ClassVar[str] = "it failed; the site's own log says why"

    def __init__(
        self, message: str, *, shareable: str | None = None, diverged: bool = False
    ) -> None:
        # It may quote a file's name or a table's cell, and ends on a terminal, in a log, on a page.
        super().__init__(shown_lines(message))
        self.shareable = shown_lines(self.default_shareable if shareable is None else shareable)
        self.diverged = diverged
        """Whether weights or what they compute are NaN, infinite or absurdly large."""


class UserError(FedThawError):
    """Something that the person at this machine can fix."""

    exit_code = 2


class ConfigError(UserError):
    """A run setting is unknown, of the wrong type or out of range."""

    default_shareable = "it does not accept the run's settings; the site's own log says which"


class SiteError(UserError):
    """site.toml, labels, images or the cohort of a site need attention."""

    default_shareable = "its folder needs attention: `fedthaw site check` there says what"


class WeightsError(UserError):
    """A pretrained checkpoint is missing, altered or of another architecture."""

    default_shareable = "it cannot load the pretrained weights; the site's own log says why"


class ImageRejected(FedThawError):
    """One image cannot be used. `reason` is a short phrase by which rejections are counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProtocolError(FedThawError):
    """A message between coordinator and site breaks the contract.

    Its text names records, keys and shapes only, so it may travel. What it quotes is the other
    side's, so it is one line of bounded length.
    """

    def __init__(self, message: str, *, diverged: bool = False) -> None:
        line = shown(message[:LONGEST_BREACH])[:LONGEST_BREACH]
        super().__init__(line, shareable=line, diverged=diverged)


class RunError(FedThawError):
    """A run cannot go on. What was done so far is kept and can be resumed."""
