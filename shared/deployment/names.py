"""Names of sites and addresses of the coordinator, checked alike on both sides."""

from __future__ import annotations

import ipaddress
import re

from shared.errors import ConfigError

LOOPBACK = "127.0.0.1"
SITE_NAME_RULE = "1 to 64 letters, digits, '_', '.' or '-' and begin with a letter or digit"
_SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_HOST = 253


def is_site_name(name: str) -> bool:
    """Whether a site may be called so."""
    return bool(_SITE_NAME.fullmatch(name))


def checked_site_name(name: str) -> str:
    """The same name; ConfigError where no site may be called so."""
    if not is_site_name(name):
        raise ConfigError(f"The site name {name!r} is not allowed; it must be {SITE_NAME_RULE}.")
    return name


def checked_run_name(name: str) -> str:
    """The same name; ConfigError where no run or study may be called so."""
    if not is_site_name(name):  # it names a folder too
        raise ConfigError(f"The run name {name!r} is not allowed; it must be {SITE_NAME_RULE}.")
    return name


def parse_host(text: str) -> str:
    """A DNS name in lower case, or an IP address in its usual form; ConfigError for others."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        labels = text.split(".")
        plain = len(text) <= _LONGEST_HOST and all(map(_LABEL.fullmatch, labels))
        if not plain or labels[-1].isdigit():
            raise ConfigError(
                f"{text!r} is neither a host name nor an IP address; give one as in "
                "hub.example.org or 192.0.2.7, without https:// and without a port."
            ) from None
        return text.lower()
    if address.is_unspecified or getattr(address, "scope_id", None):
        raise ConfigError(
            f"{text!r} is not an address at which other machines reach a server; give its host "
            "name or its address in their network."
        )
    return str(address)


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[IPv6]:PORT`; ConfigError for anything else."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    right_form = bool(host and colon) and bracketed == (":" in host)
    if not right_form or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 2**16:
        raise ConfigError(
            f"{text!r} is not the address of a server; it must be HOST:PORT, such as "
            "hub.example.org:8443 or [2001:db8::7]:8443."
        )
    return parse_host(host[1:-1] if bracketed else host), int(port)


def to_address(host: str, port: int) -> str:
    """`HOST:PORT`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether this host is this machine, over no network."""
    return host in (LOOPBACK, "::1", "localhost")
