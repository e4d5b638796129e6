"""Certificates, judged by real TLS handshakes of Python's ssl."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from server.link.folder.authority import (
    create_authority,
    issue_certificate,
    names_of,
    remaining_days,
)
from shared.errors import ConfigError

Pair = tuple[str, str]
Handshake = Callable[..., str]


@pytest.fixture(scope="module")
def authority() -> Pair:
    return create_authority("hub.example.org")


@pytest.fixture(scope="module")
def issued(authority: Pair) -> Pair:
    return issue_certificate(*authority, ["hub.example.org", "192.0.2.7", "2001:db8::7"])


@pytest.fixture
def handshake(tmp_path: Path) -> Handshake:
    """Shake hands over the loopback; the version agreed on. Raises what the client's ssl raises."""

    def shake(server: Pair, ca: str, name: str) -> str:
        for file, text in zip(("crt", "key"), server, strict=True):
            (tmp_path / file).write_text(text, encoding="ascii")
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(tmp_path / "crt", tmp_path / "key")
        calling = ssl.create_default_context(cadata=ca)
        calling.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
        ours, theirs = socket.socketpair()
        ours.settimeout(10)
        theirs.settimeout(10)

        def answer() -> None:
            try:
                serving.wrap_socket(theirs, server_side=True).close()
            except (ssl.SSLError, OSError):
                theirs.close()

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            with ours, calling.wrap_socket(ours, server_hostname=name) as wrapped:
                return wrapped.version() or ""
        finally:
            ours.close()
            thread.join(10)

    return shake


@pytest.mark.parametrize(
    "name", ["hub.example.org", "192.0.2.7", "2001:db8::7", "localhost", "127.0.0.1", "::1"]
)
def test_the_right_names_are_trusted(
    authority: Pair, issued: Pair, handshake: Handshake, name: str
) -> None:
    assert handshake(issued, authority[0], name) == "TLSv1.3"


@pytest.mark.parametrize("name", ["hub.example.net", "example.org", "192.0.2.8", "::2"])
def test_another_name_is_refused(
    authority: Pair, issued: Pair, handshake: Handshake, name: str
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"mismatch|not valid for"):
        handshake(issued, authority[0], name)


def test_another_authority_of_the_same_name_is_refused(issued: Pair, handshake: Handshake) -> None:
    other, _ = create_authority("hub.example.org")
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        handshake(issued, other, "hub.example.org")


def test_a_server_cannot_sign_others(authority: Pair, issued: Pair, handshake: Handshake) -> None:
    """A stolen server key is no authority."""
    forged_ca = x509.load_pem_x509_certificate(issued[0].encode())
    assert not forged_ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    certificate, key = issue_certificate(issued[0], issued[1], ["evil.example.org"])
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake((certificate + issued[0], key), authority[0], "evil.example.org")


def test_a_certificate_that_has_ended_is_refused(authority: Pair, handshake: Handshake) -> None:
    ended = issue_certificate(*authority, ["hub"], days=0)
    assert -0.01 < remaining_days(ended[0]) <= 0
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(ended, authority[0], "hub")


def test_what_the_certificates_say(authority: Pair, issued: Pair) -> None:
    ca, server = (x509.load_pem_x509_certificate(pair[0].encode()) for pair in (authority, issued))
    ca_limits = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (ca_limits.critical, ca_limits.value.ca, ca_limits.value.path_length) == (True, True, 0)
    usage = ca.extensions.get_extension_for_class(x509.KeyUsage)
    assert (usage.critical, usage.value.key_cert_sign, usage.value.crl_sign) == (True, True, True)
    assert not usage.value.digital_signature
    purposes = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [x509.OID_SERVER_AUTH]
    server.verify_directly_issued_by(ca)
    for certificate in (ca, server):
        early = datetime.now(UTC) - certificate.not_valid_before_utc
        assert timedelta(minutes=59) < early < timedelta(minutes=70)
    assert authority[1] not in authority[0]


def test_how_long_they_last(authority: Pair) -> None:
    assert remaining_days(authority[0]) == pytest.approx(3650, abs=0.1)
    assert remaining_days(issue_certificate(*authority, ["a"])[0]) == pytest.approx(365, abs=0.1)
    short = create_authority("short", days=10)
    ends_with_it = issue_certificate(*short, ["a"], days=365)[0]
    assert remaining_days(ends_with_it) == pytest.approx(10, abs=0.1)


def test_names_are_kept_in_order_and_once(authority: Pair) -> None:
    names = ["Hub.example.org", "10.0.0.1", "localhost", "hub.example.org", "2001:DB8:0::7"]
    assert names_of(issue_certificate(*authority, names)[0]) == (
        "hub.example.org", "10.0.0.1", "localhost", "2001:db8::7", "127.0.0.1", "::1",
    )  # fmt: skip


def test_a_long_name(handshake: Handshake) -> None:
    name = ".".join(["x" * 60] * 4)
    ca = create_authority(name)
    assert handshake(issue_certificate(*ca, [name]), ca[0], name) == "TLSv1.3"


@pytest.mark.parametrize("name", ["", "a b", "https://hub", "hub:8443", "0.0.0.0"])
def test_a_bad_name(authority: Pair, name: str) -> None:
    with pytest.raises(ConfigError, match=r"HOST|host name"):
        issue_certificate(*authority, ["hub", name])


def test_no_name(authority: Pair) -> None:
    with pytest.raises(ConfigError, match="--name HOST"):
        issue_certificate(*authority, [])
