"""What a rule of the site's owner refuses, in words for both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import SiteError


@dataclass(frozen=True)
class Refusal:
    """One rule that a run breaks.

    `found` is what the run asks for where that is one of its settings, None where it would be a
    number of patients or images: those stay at the site, in `detail`.
    """

    rule: str
    limit: str
    found: str | None
    detail: str = ""

    def shareable(self) -> str:
        """The reason for the coordinator, without any count of patients."""
        asked = f" and the run asks for {self.found}" if self.found is not None else ""
        return f"{self.rule} is {self.limit}{asked}"

    def full(self) -> str:
        """The reason for the site's owner, in full."""
        return f"{self.shareable()}{f' ({self.detail})' if self.detail else ''}"


class PolicyError(SiteError):
    """A rule in [policy] of site.toml refuses a run or a message."""

    def __init__(self, site: str, refusals: Sequence[Refusal]) -> None:
        super().__init__(
            f"{site} does not take part, by [policy] of its site.toml: "
            f"{'; '.join(one.full() for one in refusals)}. Change the run, or the rule there.",
            shareable=(
                "its owner's policy does not allow this: "
                f"{'; '.join(one.shareable() for one in refusals)}"
            ),
        )
        self.refusals = tuple(refusals)


def numbers(value: float) -> str:
    """A limit as site.toml has it."""
    return f"{value:g}"
