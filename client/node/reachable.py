"""Whether the coordinator is reached, trusted and knows this site, without taking part."""

from __future__ import annotations

import ssl
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.node_pb2 import Node

from client.node.calls import CLOCK_SECONDS, clock_difference
from client.node.connection import Access, connect, trusting
from client.node.finding import Finding, note, right, wrong
from shared.deployment.names import parse_address
from shared.deployment.proxies import proxy_towards
from shared.deployment.wire import HEARTBEAT_SECONDS, STRANGER
from shared.errors import SiteError

SECONDS = 10.0
"""How long an answer may take."""
SOON = timedelta(days=30)
_SLOW_CLOCK = 30.0
"""How far behind the coordinator's clock this machine's may be without a remark, in seconds."""


@dataclass(frozen=True)
class _Answer:
    """What the coordinator's port answered to a question that needs no key."""

    status: int
    certificate: x509.Certificate | None
    ahead: float | None
    """Seconds that this machine's clock is ahead of the coordinator's."""
    seconds: float


def check_coordinator(
    server: str, authority: Path | None, key: ec.EllipticCurvePrivateKey | None
) -> list[Finding]:
    """Connection, certificate, clock and registration, each where those before allow it.

    Without `authority` it is plain HTTP. Nothing that the coordinator does depends on it.
    """
    try:
        answer = _ask(server, trusting(authority) if authority else None)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, SiteError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            there = right("connection", f"{server} is reached{_way(server, authority)}")
            return [there, _distrusted(server, str(error))]
        return [_unreached(server, authority, error)]
    found = [
        right(
            "connection",
            f"{server} answers in {1000 * answer.seconds:.0f} ms{_way(server, authority)}",
        )
    ]
    if answer.status != httpx.codes.OK:
        return [wrong(
            "connection", f"what answers at {server} is not a coordinator (HTTP {answer.status})",
            "compare the address with the coordinator's; a proxy may answer in its place",
        )]  # fmt: skip
    found.append(_certificate(answer.certificate))
    clock = _clock(answer.ahead)
    found.append(clock)
    if key is not None and clock.state != "wrong":
        found.append(_registration(Access(server, authority, key)))
    return found


def _ask(server: str, verify: ssl.SSLContext | None) -> _Answer:
    """GET /health, as `site run` goes: by the proxy that the environment names."""
    url = f"{'http' if verify is None else 'https'}://{server}/health"
    begun = time.monotonic()
    with (
        httpx.Client(verify=False if verify is None else verify, timeout=SECONDS) as client,
        client.stream("GET", url) as response,
    ):
        stream = response.extensions.get("network_stream")
        tls = stream.get_extra_info("ssl_object") if stream is not None else None
        raw = tls.getpeercert(True) if tls is not None else None
        certificate = x509.load_der_x509_certificate(raw) if raw else None
        ahead = clock_difference(response)
        return _Answer(response.status_code, certificate, ahead, time.monotonic() - begun)


def _way(server: str, authority: Path | None) -> str:
    proxy = proxy_towards(parse_address(server)[0], encrypted=authority is not None)
    return f", by the proxy {proxy}" if proxy else ", directly"


def _unreached(server: str, authority: Path | None, error: Exception) -> Finding:
    """Why, and who can help; OpenSSL and the resolver say it in a text only."""
    host, port = parse_address(server)
    proxy = proxy_towards(host, encrypted=authority is not None)
    why = str(error) or type(error).__name__
    text = why.casefold()
    if isinstance(error, httpx.ProxyError) or proxy:
        remedy = (
            f"ask for CONNECT to {server} to be allowed there, or set NO_PROXY={host} where the "
            "host is reached without it"
        )
        return wrong("connection", f"{server} is not reached by the proxy {proxy}: {why}", remedy)
    if isinstance(error, httpx.TimeoutException):
        why, remedy = (
            f"no answer within {SECONDS:g} s",
            (f"a firewall seems to drop it: allow outgoing TCP connections to {host}, port {port}"),
        )
    elif "refused" in text:
        remedy = (
            f"the server is not running there, or a firewall refuses port {port}: ask the "
            "coordinator"
        )
    elif "name or service" in text or "name resolution" in text or "nodename" in text:
        remedy = f"this machine cannot resolve {host}: check the name, and this machine's DNS"
    elif authority is None:
        remedy = "the server may expect TLS: leave --insecure out, or start it with --insecure"
    elif "wrong_version" in text or "record layer" in text or "unexpected_eof" in text:
        remedy = (
            f"what listens at port {port} speaks no TLS: compare the port with the coordinator's"
        )
    else:
        remedy = f"check this machine's network, and that {server} is the coordinator's address"
    return wrong("connection", f"{server} is not reached: {why}", remedy)


def _distrusted(server: str, why: str) -> Finding:
    """What is wrong with the certificate that is presented; it is looked at, nothing more."""
    reason = why.rpartition(": ")[2].partition(" (_ssl")[0]
    shown, remedy = "", "compare the fingerprint of ca.crt with the coordinator's by telephone"
    host = parse_address(server)[0]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        certificate = _ask(server, context).certificate
    except (httpx.HTTPError, OSError, ValueError):
        certificate = None
    if certificate is not None:
        names, now = _names(certificate), datetime.now(UTC)
        shown = (
            f"; it is for {', '.join(names) or 'no name'}, issued by "
            f"{certificate.issuer.rfc4514_string()}, valid from "
            f"{_day(certificate.not_valid_before_utc)} to {_day(certificate.not_valid_after_utc)}"
        )
        if now > certificate.not_valid_after_utc:
            remedy = "the coordinator must renew it (fedthaw server renew)"
        elif now < certificate.not_valid_before_utc:
            remedy = f"set this machine's clock, which says {now:%Y-%m-%d %H:%M} UTC"
        elif "mismatch" in why or "not valid for" in why:
            remedy = (
                f"use one of these names, or let the coordinator add {host} (fedthaw server renew "
                f"--name {host}) and send a new invitation"
            )
        else:
            remedy = (
                "a proxy that opens TLS may stand between: have it leave this address alone. Or "
                "the coordinator's folder is a new one: ask for a new invitation, and compare the "
                "fingerprint of the authority by telephone"
            )
    return wrong("certificate", f"it is not trusted ({reason}){shown}", remedy)


def _certificate(certificate: x509.Certificate | None) -> Finding:
    if certificate is None:
        return note("certificate", "none, as --insecure asks for: plain HTTP")
    end = certificate.not_valid_after_utc
    left = end - datetime.now(UTC)
    found = (
        f"for {', '.join(_names(certificate))}, valid to {_day(end)} ({left.days} days), signed by "
        "the authority that this site trusts"
    )
    if left < SOON:
        return note("certificate", found, "the coordinator must renew it (fedthaw server renew)")
    return right("certificate", found)


def check_authority(file: Path) -> Finding:
    """The certificate of the authority that this site trusts."""
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    end = certificate.not_valid_after_utc
    left = end - datetime.now(UTC)
    print_ = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    found = f"{print_}, valid to {_day(end)}"
    remedy = "ask the coordinator for a new invitation"
    if left < timedelta(0):
        return wrong("authority", found, remedy)
    return note("authority", found, remedy) if left < SOON else right("authority", found)


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [str(name.value) for name in names]


def _day(when: datetime) -> str:
    return f"{when:%Y-%m-%d}"


def _clock(ahead: float | None) -> Finding:
    if ahead is None:
        return note("clock", "the coordinator's answer has no time to compare with")
    # The answer's time is in whole seconds, cut.
    away = max(0.0, ahead - 1.0) if ahead > 0 else ahead
    found = (
        "agrees with the coordinator's to a second"
        if abs(away) < 1
        else f"{abs(away):.0f} s {'ahead of' if away > 0 else 'behind'} the coordinator's"
    )
    remedy = "synchronise both clocks with NTP"
    if away >= CLOCK_SECONDS or away <= -300:
        return wrong("clock", found, remedy)
    return note("clock", found, remedy) if away < -_SLOW_CLOCK else right("clock", found)


def _registration(access: Access) -> Finding:
    """Whether a request that is signed with the key is let in: a heartbeat, of no node."""
    remedy = (
        "the coordinator must register it (fedthaw server register NAME key.pub), or a new "
        "one if it has expired (fedthaw site renew-key)"
    )
    with connect(access, threading.Event()) as connection:
        request = SendNodeHeartbeatRequest(
            node=Node(node_id=0), heartbeat_interval=HEARTBEAT_SECONDS
        )
        try:
            connection.client.SendNodeHeartbeat(request)
        except httpx.HTTPStatusError as error:
            # To a registered key Flower answers that there is no such node.
            status = error.response.status_code
            if status == httpx.codes.UNAUTHORIZED and error.response.text == STRANGER:
                return wrong(
                    "registration", "the coordinator does not know this site's key", remedy
                )
            if status >= httpx.codes.INTERNAL_SERVER_ERROR:
                return note("registration", f"not known (HTTP {status})", "try again")
        except (httpx.HTTPError, OSError, ValueError, RuntimeError) as error:
            return note("registration", f"not known: {error}", "try again")
    return right("registration", "the coordinator knows this site's key")
