"""Whom the coordinator has turned away, in its log: a line a minute, however many they are."""

from __future__ import annotations

import ipaddress
import logging
import math
from collections import Counter
from collections.abc import Callable

log = logging.getLogger("fedthaw.server")

SECONDS = 60.0
"""Between two lines."""
_NAMED = 5
"""Addresses that a line names."""
_MOST = 1000
"""Addresses and reasons that are counted separately between two lines."""
_OTHERS = "other addresses"


class Refusals:
    """Counts what was refused until it is logged."""

    def __init__(self, write: Callable[[str], None] = lambda text: None) -> None:
        """`write` gets what is logged as well, for the audit log."""
        self._write = write
        self._counted: Counter[tuple[str, str]] = Counter()
        self._last = -math.inf

    def note(self, address: str, why: str) -> None:
        """Count a refused connection or request of this address; `why` is a fixed text."""
        key = (address, why)
        if key not in self._counted and len(self._counted) >= _MOST:
            key = (_OTHERS, why)
        self._counted[key] += 1

    def flush(self, now: float) -> None:
        """Log what was counted, if there is anything and the last line is a minute old.

        `now` is of a clock that never goes back, in seconds.
        """
        if not self._counted or now < self._last + SECONDS:
            return
        self._last = now
        most = self._counted.most_common()
        parts = [f"{count:,} from {address} ({why})" for (address, why), count in most[:_NAMED]]
        if rest := most[_NAMED:]:
            parts.append(f"{sum(count for _, count in rest):,} more")
        self._counted.clear()
        text = ", ".join(parts)
        log.warning(
            "Connections refused: %s. Block an address that you do not know in the firewall.",
            text,
        )
        self._write(text)


def counted_address(host: str) -> str:
    """By what an address is counted: IPv4 by itself, IPv6 by its network of 64 bits.

    A machine with IPv6 usually has a whole such network to itself.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        if not address.is_loopback:
            return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
