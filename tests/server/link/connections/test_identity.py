"""Whom the gate takes a request to be from: only a registered key that signed this moment."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.common.constant import TIMESTAMP_HEADER
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.date import now
from flwr.supercore.primitives.asymmetric import public_key_to_bytes, sign_message

from server.link.connections.identity import identify
from server.link.superlink.state import Link
from shared.deployment.keys import generate_private_key

Headers = dict[bytes, bytes]


@pytest.fixture
def key() -> ec.EllipticCurvePrivateKey:
    return generate_private_key()


@pytest.fixture
def link(key: ec.EllipticCurvePrivateKey) -> Link:
    link = Link()
    link.set_sites({public_key_to_bytes(key.public_key()): "north"})
    return link


def signed(key: ec.EllipticCurvePrivateKey, seconds: float = 0.0) -> Headers:
    """As Flower's client signs, so many seconds from now."""
    stamp = (now() + timedelta(seconds=seconds)).isoformat().encode("ascii")
    values = {
        FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(public_key_to_bytes(key.public_key())),
        TIMESTAMP_HEADER: stamp,
        FLEET_HTTP_SIGNATURE_HEADER: b64encode(sign_message(key, stamp)),
    }
    return {name.lower().encode("ascii"): value for name, value in values.items()}


def test_a_registered_site(link: Link, key: ec.EllipticCurvePrivateKey) -> None:
    (node,) = link.nodes
    assert identify(signed(key), link) == node
    assert identify(signed(key, -200), link) == node


@pytest.mark.parametrize("seconds", [-400, 30])
def test_another_time(link: Link, key: ec.EllipticCurvePrivateKey, seconds: float) -> None:
    assert identify(signed(key, seconds), link) is None


def test_a_stranger(link: Link) -> None:
    assert identify(signed(generate_private_key()), link) is None


def test_a_site_that_was_removed(link: Link, key: ec.EllipticCurvePrivateKey) -> None:
    link.set_sites({})
    assert identify(signed(key), link) is None


def spoilt(name: str, change: Callable[[bytes], bytes]) -> Callable[[Headers], Headers]:
    key = name.lower().encode("ascii")
    return lambda headers: {**headers, key: change(headers[key])}


@pytest.mark.parametrize(
    "spoil",
    [
        spoilt(FLEET_HTTP_SIGNATURE_HEADER, lambda value: b64encode(b"no signature")),
        spoilt(FLEET_HTTP_SIGNATURE_HEADER, lambda value: b"no base64!"),
        spoilt(FLEET_HTTP_SIGNATURE_HEADER, lambda value: b""),
        spoilt(FLEET_HTTP_PUBLIC_KEY_HEADER, lambda value: value[:-8]),
        spoilt(FLEET_HTTP_PUBLIC_KEY_HEADER, lambda value: b"\xff"),
        spoilt(TIMESTAMP_HEADER, lambda value: b"yesterday"),
        spoilt(TIMESTAMP_HEADER, lambda value: b"2026-11-20T10:00:00"),
        spoilt(TIMESTAMP_HEADER, lambda value: b"\xff"),
        lambda headers: {},
    ],
)
def test_what_is_no_signature(
    link: Link, key: ec.EllipticCurvePrivateKey, spoil: Callable[[Headers], Headers]
) -> None:
    assert identify(spoil(signed(key)), link) is None


def test_the_signature_of_another_moment(link: Link, key: ec.EllipticCurvePrivateKey) -> None:
    """A new time under an old signature."""
    name = FLEET_HTTP_SIGNATURE_HEADER.lower().encode("ascii")
    assert identify({**signed(key), name: signed(key, -1)[name]}, link) is None
