"""A web proxy that the environment names, and this machine's own ports.

FedThaw's connections go as httpx, which Flower uses, reads the environment: by the HTTP proxy that
`HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY` names (in small or capital letters), else directly, and
directly to what `NO_PROXY` names. httpx refuses to begin where one of them cannot be used, for
whatever connection; here such a one is dropped, and said.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping, MutableMapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_NO_PROXY = "no_proxy"
_VARIABLES = (_NO_PROXY, _NO_PROXY.upper())
_SCHEMES = ("http", "https")
_SOCKS = ("socks5", "socks5h")
_RIGHT = "set an HTTP proxy as in HTTPS_PROXY=http://proxy.example.org:3128, or unset it"
_PLAIN_HOST = re.compile(r"[A-Za-z0-9*._-]+(:\d+)?")

_dropped: list[str] = []


def past_the_proxy(host: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What of the environment must be set so that `host` is asked without a proxy.

    A hospital's proxy knows nothing of another machine's loopback. Programs read one spelling of
    the variable or the other, so both are set.
    """
    # The small letters count first, then any other: as Python's urllib reads them.
    spelt = sorted((name for name in environment if name.lower() == _NO_PROXY), reverse=True)
    named = next((environment[name] for name in spelt if environment[name]), "")
    return dict.fromkeys(_VARIABLES, f"{named},{host}" if named else host)


def drop_unusable_proxies(environment: MutableMapping[str, str] | None = None) -> tuple[str, ...]:
    """Take what cannot be used out of the environment, once; a sentence for each of them.

    Without `environment` that of this process, and those that it starts.
    """
    values = os.environ if environment is None else environment
    for name in [name for name in values if name.lower() in _PROXIES]:
        if values[name] != values[name].strip():
            values[name] = values[name].strip()
    sentences = [
        f"{name} is ignored: {why}. Connections go without it; {_RIGHT}."
        for name in sorted(values)
        if name.lower() in _PROXIES and (why := _why_unusable(values[name]))
    ]
    for sentence in sentences:
        del values[sentence.partition(" ")[0]]
    for name in [name for name in values if name.lower() == _NO_PROXY]:
        sentences += _without_unusable_hosts(name, values)
    if environment is None:
        _dropped.extend(sentences)
    return tuple(sentences)


def dropped_proxies() -> tuple[str, ...]:
    """What `drop_unusable_proxies` has said of this process's environment."""
    return tuple(_dropped)


def proxy_towards(host: str, *, encrypted: bool = True) -> str:
    """The proxy by which this process reaches a host, without a password; empty for none."""
    proxies = getproxies()
    if not proxies or proxy_bypass(host):
        return ""
    return _shown(proxies.get("https" if encrypted else "http") or proxies.get("all") or "")


def _why_unusable(value: str) -> str | None:
    """Why httpx could not use it, None where it can; an empty value names no proxy."""
    if not value:
        return None
    url = value if "://" in value else f"http://{value}"
    shown = _shown(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return f"{shown!r} is not the address of a proxy"
    if parts.scheme in _SOCKS:
        missing = f"{shown} is a SOCKS proxy, for which the package socksio is missing"
        return None if _has_socks() else missing
    if parts.scheme not in _SCHEMES:
        return f"{shown!r} is not an HTTP proxy"
    if not host or port == 0 or not _is_url(url) or not host.isprintable() or " " in host:
        return f"{shown!r} is not the address of a proxy"
    return None


def _without_unusable_hosts(name: str, values: MutableMapping[str, str]) -> list[str]:
    hosts = [host.strip() for host in values[name].split(",")]
    kept = {host: _readable_host(host) for host in hosts if host}
    if all(host == readable for host, readable in kept.items()):
        return []
    values[name] = ",".join(readable for readable in kept.values() if readable)
    return [
        f"{host!r} in {name} is ignored: it is neither a host name nor an IP address that can be "
        "compared."
        for host, readable in kept.items()
        if readable is None
    ]


def _readable_host(host: str) -> str | None:
    """The host as httpx can read it, None where there is no such form."""
    if _PLAIN_HOST.fullmatch(host):
        return host
    bare = host.removeprefix("[").removesuffix("]").removesuffix("/128")
    try:
        return str(ipaddress.IPv6Address(bare))
    except ValueError:
        pass
    if "://" in host:
        return host if _is_url(host) else None
    if _is_url(f"all://*{host}"):
        return host
    try:
        encoded = host.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    return encoded if _is_url(f"all://*{encoded}") else None


def _is_url(text: str) -> bool:
    """Whether httpx, which is asked only where a proxy is set, can read it."""
    import httpx

    try:
        httpx.URL(text)
    except (httpx.InvalidURL, ValueError, UnicodeError):
        return False
    return True


def _has_socks() -> bool:
    import importlib.util

    return importlib.util.find_spec("socksio") is not None


def _shown(url: str) -> str:
    """Without the name and password that may stand in it, on one line."""
    scheme, separator, rest = url.rpartition("://")
    place = rest.rpartition("@")[2]
    return "".join(c if c.isprintable() else "?" for c in f"{scheme}{separator}{place}")[:100]
