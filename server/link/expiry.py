"""What to say before the server's certificate ends, with which every site would be shut out."""

from __future__ import annotations

import math

from server.link.authority import remaining_days
from server.link.home import Home

SOON = 30
"""Days."""


def expiry_warning(home: Home) -> str | None:
    """A sentence for whoever can act, from `SOON` days before the end on."""
    certificate = remaining_days(home.certificate.read_text(encoding="ascii"))
    authority = remaining_days(home.ca_certificate.read_text(encoding="ascii"))
    if min(certificate, authority) >= SOON:
        return None
    if authority < SOON:
        return (
            f"The coordinator's authority {_ends(authority)}, and sites trust nothing after that: "
            "make a new coordinator's folder (fedthaw server init) and invite all sites anew."
        )
    return (
        f"The server's certificate {_ends(certificate)}, and sites trust none that has ended: "
        f"fedthaw server renew --home {home.path}"
    )


def _ends(days: float) -> str:
    return f"ends in {math.floor(days)} days" if days > 0 else "has ended"
