"""What the coordinator gives a site so that it finds and trusts it: no secret is in it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from shared.deployment.names import checked_site_name, parse_address, to_address
from shared.errors import ConfigError
from shared.storage.json_file import DamagedFile, parse_json


@dataclass(frozen=True)
class Invitation:
    """The site's name, the coordinator's HOST:PORT, and its certificate authority as PEM."""

    site: str
    server: str
    ca: str

    def to_text(self) -> str:
        """The invitation as a JSON file's text."""
        return json.dumps(asdict(self), indent=1) + "\n"


def parse_invitation(text: str) -> Invitation:
    """Read what `to_text` wrote.

    Raises ConfigError for what is no invitation, and for a bad name, address or authority in it.
    """
    again = "ask the coordinator for the file that `fedthaw server invite` wrote"
    try:
        document = parse_json(text)
    except DamagedFile:
        raise ConfigError(f"This is not an invitation (no JSON text); {again}.") from None
    names = {field.name for field in fields(Invitation)}
    if not isinstance(document, dict) or not all(isinstance(v, str) for v in document.values()):
        raise ConfigError(f"This is not an invitation (no object of texts); {again}.")
    if document.keys() != names:
        missing = ", ".join(sorted(names - document.keys())) or "nothing"
        unknown = ", ".join(sorted(document.keys() - names)) or "nothing"
        raise ConfigError(
            f"The invitation lacks {missing} and has {unknown} that does not belong there; {again}."
        )
    return Invitation(
        checked_site_name(document["site"]),
        to_address(*parse_address(document["server"])),
        parse_authority(document["ca"]),
    )


def parse_authority(pem: str) -> str:
    """The one certificate of an authority in `pem`, as PEM; ConfigError for anything else."""
    wanted = "it must be the coordinator's file ca.crt"
    if "PRIVATE KEY" in pem:
        raise ConfigError(
            "There is a PRIVATE key next to the authority's certificate. Whoever has that key can "
            f"pose as the coordinator; tell the coordinator and do not use this file: {wanted}."
        )
    try:
        certificates = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise ConfigError(f"The authority is not a certificate in PEM form; {wanted}.") from None
    if len(certificates) != 1 or not _is_authority(certificates[0]):
        raise ConfigError(f"This is not the certificate of one certificate authority; {wanted}.")
    return certificates[0].public_bytes(Encoding.PEM).decode("ascii")


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False
