"""The coordinator's own certificate authority, and the server's certificate from it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.deployment.names import parse_host
from shared.errors import ConfigError

ALWAYS_NAMED = ("localhost", "127.0.0.1", "::1")
CLOCK_DIFFERENCE = timedelta(hours=1)
"""Sites whose clocks are behind by so much accept a new certificate all the same."""
_LONGEST_COMMON_NAME = 64


def create_authority(common_name: str, days: int = 3650) -> tuple[str, str]:
    """A new authority that signs servers and nothing else: its certificate and key, as PEM."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = _name(common_name)
    certificate = (
        _begin(name, name, key.public_key(), datetime.now(UTC) + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .sign(key, hashes.SHA384())
    )
    return _pem(certificate), _key_pem(key)


def issue_certificate(
    ca_cert_pem: str, ca_key_pem: str, names: Sequence[str], days: int = 365
) -> tuple[str, str]:
    """A certificate for a server of these names, and its new key, as PEM.

    `names` are DNS names and IP addresses; this machine's own are always added. The certificate
    ends with its authority at the latest. Raises ConfigError for an invalid name, and for an
    authority that is damaged or has ended.
    """
    authority, ca_key = _authority(ca_cert_pem, ca_key_pem)
    hosts = tuple(dict.fromkeys((*checked_names(names), *ALWAYS_NAMED)))
    # This key signs each handshake, a stranger's too; on P-256 that takes 15 us instead of 500.
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(datetime.now(UTC) + timedelta(days=days), authority.not_valid_after_utc)
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _begin(_name(hosts[0]), authority.subject, key.public_key(), until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(map(_general_name, hosts)), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(ca_key, hashes.SHA384())
    )
    return _pem(certificate), _key_pem(key)


def _authority(cert_pem: str, key_pem: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        authority = x509.load_pem_x509_certificate(cert_pem.encode())
        key = serialization.load_pem_private_key(key_pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(
            "The authority's certificate ca.crt or its key ca.key is damaged; restore both from a "
            "copy of the coordinator's folder."
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError("The authority's key is of another type; make a new coordinator folder.")
    if authority.not_valid_after_utc <= datetime.now(UTC):
        raise ConfigError(
            f"The coordinator's authority expired on {authority.not_valid_after_utc:%Y-%m-%d}, and "
            "sites no longer trust it: make a new coordinator's folder (fedthaw server "
            "init) and invite all sites again."
        )
    return authority, key


def checked_names(names: Sequence[str]) -> tuple[str, ...]:
    """Each name once, as `parse_host` writes it; ConfigError for none at all or a bad one."""
    if not names:
        raise ConfigError(
            "A server needs a name by which sites reach it: --name HOST, a DNS name or IP address."
        )
    return tuple(dict.fromkeys(map(parse_host, names)))


def remaining_days(cert_pem: str) -> float:
    """Days until the certificate ends; negative when it has."""
    certificate = x509.load_pem_x509_certificate(cert_pem.encode("ascii"))
    return (certificate.not_valid_after_utc - datetime.now(UTC)) / timedelta(days=1)


def names_of(cert_pem: str) -> tuple[str, ...]:
    """The DNS names and IP addresses that a certificate is for, in its order."""
    certificate = x509.load_pem_x509_certificate(cert_pem.encode("ascii"))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return tuple(str(name.value) for name in names)


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - CLOCK_DIFFERENCE)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:_LONGEST_COMMON_NAME])])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")
