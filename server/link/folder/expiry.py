"""What to say before a certificate or a site's key ends, with which sites would be shut out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from server.link.folder.authority import remaining_days
from server.link.folder.home import Home
from server.link.folder.registry import RegisteredSite

SOON = 30
"""Days."""


def expiry_warning(home: Home) -> str | None:
    """A sentence for whoever can act, from `SOON` days before the end on, and of damaged files."""
    try:
        authority = remaining_days(home.ca_certificate.read_text(encoding="ascii"))
    except ValueError:
        return f"{home.ca_certificate} is damaged; restore it from a copy, or from an invitation."
    try:
        certificate = remaining_days(home.certificate.read_text(encoding="ascii"))
    except ValueError:
        return (
            f"{home.certificate} is damaged, and the server cannot be started with it: fedthaw "
            f"server renew --home {home.path}"
        )
    if min(certificate, authority) >= SOON:
        return None
    if authority < SOON:
        return (
            f"The coordinator's authority {_ends(authority)}, and sites trust nothing after that: "
            "make a new coordinator's folder (fedthaw server init) and invite all sites again."
        )
    return (
        f"The server's certificate {_ends(certificate)}, and sites trust no expired one: "
        f"fedthaw server renew --home {home.path}"
    )


def key_warnings(sites: Sequence[RegisteredSite], now: datetime) -> tuple[str, ...]:
    """A sentence for each site whose keys all end within `SOON` days, or have ended."""
    warnings = []
    for name in sorted({site.name for site in sites}):
        ends = [site.until for site in sites if site.name == name]
        dated = [end for end in ends if end is not None]
        if len(dated) < len(ends) or max(dated) - now >= timedelta(days=SOON):
            continue
        days = (max(dated) - now) / timedelta(days=1)
        then = "the site is not admitted after that" if days > 0 else "the site is not admitted"
        warnings.append(
            f"The key of {name} {_ends(days)}, and {then}: ask it for a new one (fedthaw site "
            f"renew-key), then fedthaw server register {name} key.next.pub --renew"
        )
    return tuple(warnings)


def _ends(days: float) -> str:
    return f"expires in {math.floor(days)} days" if days > 0 else "has expired"
