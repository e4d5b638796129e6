"""A site changes over to its next key as soon as the coordinator admits it."""

from __future__ import annotations

import math
import os
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.fleet_pb2 import ActivateNodeResponse
from flwr.proto.node_pb2 import Node
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

from client.node.calls import Connection, log, note_back
from client.node.connection import Access, activation, connect
from client.node.home import SiteHome
from client.node.keys import promote_next_key
from shared.audit.log import append, user
from shared.audit.syslog import Syslog
from shared.deployment.keys import fingerprint, load_private_key
from shared.errors import ConfigError, SiteError

AGAIN_SECONDS = 3600.0
"""A connected site tries its next key so often; each time the coordinator counts a refusal."""


@dataclass
class Rotation:
    """Where the next key is and how the coordinator is reached with it."""

    home: SiteHome
    authority: Path | None
    passphrase: bytes | None = None
    syslog: Syslog | None = None
    tried: float = -math.inf
    """When the next key was tried last, by the monotonic clock."""
    complaint: str = ""
    """What was said last of a key that cannot be used."""

    def is_due(self) -> bool:
        """Whether a connected site should try its next key again."""
        return time.monotonic() >= self.tried + AGAIN_SECONDS


def take_next_key(rotation: Rotation, connection: Connection) -> bool:
    """Try the next key once, where there is one; whether the site is there with it now.

    The connection's requests go on with the present key until the coordinator has admitted the
    next one, which then takes its place on the disk too.
    """
    rotation.tried = time.monotonic()
    home = rotation.home
    if not home.next_key.exists():
        return False
    try:
        key = load_private_key(home.next_key, rotation.passphrase)
        raw = public_key_to_bytes(key.public_key())
        admitted = raw != connection.public_key and _is_admitted(rotation, connection, key)
    except SiteError as error:
        _complain(rotation, f"{error} The site goes on with the key that it has.")
        return False
    if admitted:
        connection.signer.take(key)
        connection.public_key = raw
        connection.unrecognised = False
        note_back(connection)
    if raw == connection.public_key:
        _keep(rotation)
    return admitted


def _is_admitted(
    rotation: Rotation, connection: Connection, key: ec.EllipticCurvePrivateKey
) -> bool:
    """Whether the coordinator admits this key; the connection then has the node it stands for."""
    access = Access(connection.server, rotation.authority, key)
    with connect(access, threading.Event()) as trial:
        try:
            answer: ActivateNodeResponse = trial.client.ActivateNode(activation(trial))
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, ValueError):
            return False  # not registered yet, or not reached: the present key will show which
    connection.node = Node(node_id=answer.node_id)
    return True


def _keep(rotation: Rotation) -> None:
    """Put the next key in the present one's place; where that fails, it is tried again."""
    home = rotation.home
    try:
        promote_next_key(home)
        key = fingerprint(home.public_key.read_text(encoding="utf-8"))
        entry = {"event": "key renewed", "by": user(os.environ), "key": key}
        line = append(home.audit, entry)
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        _complain(rotation, f"The new key is in use but could not be kept and logged: {error}.")
        return
    if rotation.syslog is not None:
        rotation.syslog.send(line)
    log.info("The coordinator admits the new key: it is %s now, the old one %s.",
             home.key, home.old_key)  # fmt: skip


def _complain(rotation: Rotation, what: str) -> None:
    if what != rotation.complaint:
        log.error("%s", what)
    rotation.complaint = what
