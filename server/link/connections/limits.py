"""What a connection to the coordinator may cost, before it is known to be a site's and after."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Share:
    """What is set aside for some addresses together, so that others cannot take it."""

    per_second: float
    """Connections that are let in while the process has time; a TLS handshake takes 0.7 ms."""
    burst: int
    """And so many at once after a quiet time."""
    at_once: int
    """Connections that have been let in and have not proved yet that they are a site's."""
    waiting: int
    """Accepted connections that wait to be let in; for one more the oldest is closed."""


@dataclass(frozen=True)
class Limits:
    """The limits of one port. Times are seconds, sizes bytes."""

    head_bytes: int = 2**14
    """Of a request line with all header lines; a site's has under 1,000."""
    head_lines: int = 64
    """Header lines; a site's request has 14."""
    head_seconds: float = 10.0
    """From the first byte of a request to the end of its header."""
    body_bytes: int = 2**23
    """That a request may announce; what it does not announce is not read at all."""
    handshake_seconds: float = 10.0
    unknown_seconds: float = 20.0
    """From the connection to the first request that a registered site has signed."""
    idle_seconds: int = 75
    """Between two requests of a site; sites say every 10 s that they are there."""
    linger_seconds: float = 1.0
    """After a refusal, so that its sentence can be read; then the connection is cut."""
    of_site: int = 32
    """Connections of one site's key; 16 requests may be under way, and a few wait for the next."""
    of_address: int = 256
    """Connections of one address that have been let in unproved; IPv6 counts by /64."""
    known: Share = Share(per_second=300.0, burst=50, at_once=512, waiting=8192)
    """For the addresses from which a registered site was heard in the last hour."""
    unknown: Share = Share(per_second=300.0, burst=50, at_once=512, waiting=8192)
    """For all other addresses together."""


def limits_for(open_files: int) -> Limits:
    """The limits of a process that may have so many files open; half of them is for sites."""
    plain = Limits()
    return replace(
        plain, known=_within(plain.known, open_files), unknown=_within(plain.unknown, open_files)
    )


def _within(share: Share, open_files: int) -> Share:
    at_once = min(share.at_once, open_files // 16)
    return replace(share, at_once=at_once, waiting=min(share.waiting, open_files // 4 - at_once))
