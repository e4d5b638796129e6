"""A site's key pair in OpenSSH's form, and fingerprints that two people can compare."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.errors import ConfigError, SiteError

KEY_TYPE = "ecdsa-sha2-nistp384"
_LONGEST = 2**14
"""Bytes of a key file; a P-384 key has under 1,000."""


class PassphraseNeeded(SiteError):
    """A private key is encrypted, and no passphrase was given."""


@dataclass(frozen=True)
class PublicKey:
    """A site's public key; two are equal when the keys are.

    `line` is OpenSSH's form without a comment, `raw` the PEM by which Flower identifies nodes.
    """

    line: str
    raw: bytes


def generate_private_key() -> ec.EllipticCurvePrivateKey:
    """A new key on P-384, the curve of Flower's own tools."""
    return ec.generate_private_key(ec.SECP384R1())


def private_key_bytes(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    """OpenSSH's private key file; without a passphrase the site's process starts unattended.

    With one it is encrypted as `ssh-keygen` does it (bcrypt, AES-256).
    """
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption(),
    )


def load_private_key(path: Path, passphrase: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    """Read a private key of the kind that `generate_private_key` makes.

    A passphrase is of no account for a key that has none. Raises SiteError for a file that is
    missing, unreadable, open to others or of another kind, and for a wrong passphrase;
    PassphraseNeeded where one is needed and none is given.
    """
    wanted = f"give an OpenSSH private key of type {KEY_TYPE}"
    try:
        with path.open("rb") as file:
            exposed = os.fstat(file.fileno()).st_mode & 0o077
            data = file.read(_LONGEST)
    except FileNotFoundError:
        raise SiteError(f"There is no private key {path}; `fedthaw site init` makes one.") from None
    except OSError as error:
        raise SiteError(
            f"The private key {path} cannot be read ({error.strerror}); check its permissions."
        ) from error
    if exposed:
        raise SiteError(
            f"The private key {path} can be used by others on this machine: chmod 600 {path}"
        )
    try:
        key = _decrypted(data, path, passphrase)
    except (ValueError, UnsupportedAlgorithm):
        raise SiteError(f"{path} is not a private key that FedThaw can use; {wanted}.") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp384r1":
        raise SiteError(f"The private key {path} is of another type; {wanted}.")
    return key


def _decrypted(
    data: bytes, path: Path, passphrase: bytes | None
) -> serialization.SSHPrivateKeyTypes:
    """The key in a file; ValueError or UnsupportedAlgorithm for what is no key at all."""
    try:
        return serialization.load_ssh_private_key(data, None)
    except TypeError:  # it has a passphrase
        if passphrase is None:
            raise PassphraseNeeded(
                f"The private key {path} has a passphrase; give a file with it by "
                "--passphrase-file, or start the command at a terminal."
            ) from None
    try:
        return serialization.load_ssh_private_key(data, passphrase)
    except ValueError:
        raise SiteError(
            f"The passphrase does not open the private key {path}; check it and try again."
        ) from None


def public_key_line(
    key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey, comment: str = ""
) -> str:
    """OpenSSH's one line of a public key: `ecdsa-sha2-nistp384 AAAA... comment`."""
    public = key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key
    encoded = public.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).decode("ascii")
    return f"{encoded} {' '.join(comment.split())}".rstrip()


def parse_public_key(text: str) -> PublicKey:
    """The public key in a line of OpenSSH's form; ConfigError for anything else."""
    if "PRIVATE KEY" in text:
        raise ConfigError(
            "This is a PRIVATE key, which must never leave its site. Ask the site to delete it, to "
            "make a new one with `fedthaw site init`, and to send the file key.pub instead."
        )
    wanted = f"it must be one line that begins with {KEY_TYPE}, as the site's file key.pub holds"
    words = text.split()
    if len(text.strip().splitlines()) != 1 or len(text) > _LONGEST:
        raise ConfigError(f"This is not a public key; {wanted}.")
    if words[0] != KEY_TYPE:
        raise ConfigError(f"The public key is of type {words[0][:40]!r}; {wanted}.")
    try:
        key = serialization.load_ssh_public_key(text.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"The public key is damaged or not complete; {wanted}.") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp384r1":
        raise ConfigError(f"The public key is of another type; {wanted}.")
    raw = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return PublicKey(public_key_line(key), raw)


def fingerprint(line: str) -> str:
    """`SHA256:...` of a public key's line, as `ssh-keygen -lf key.pub` prints it."""
    blob = base64.b64decode(parse_public_key(line).line.split()[1])
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii")
    return f"SHA256:{digest.rstrip('=')}"


def certificate_fingerprint(pem: str) -> str:
    """SHA-256 of a certificate as `openssl x509 -fingerprint -sha256` prints it: `AB:CD:...`."""
    digest = x509.load_pem_x509_certificate(pem.encode("ascii")).fingerprint(hashes.SHA256())
    return digest.hex(":").upper()
