"""An invitation is read as it was written, and nothing else passes for one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.link.folder.authority import create_authority, issue_certificate
from shared.deployment.invitation import Invitation, parse_authority, parse_invitation
from shared.errors import ConfigError

CA, CA_KEY = create_authority("hub")
GOOD = Invitation("north", "hub.example.org:8443", CA)


def changed(**changes: object) -> str:
    return json.dumps(json.loads(GOOD.to_text()) | changes)


def test_an_invitation_is_read_as_it_was_written() -> None:
    assert parse_invitation(GOOD.to_text()) == GOOD
    assert set(json.loads(GOOD.to_text())) == {"site", "server", "ca"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no object"),
        ('"north"', "no object"),
        (changed(site=7), "no object of texts"),
        (changed(more="x"), "has more that"),
        (json.dumps({"site": "north", "ca": CA}), "lacks server"),
        (changed(site="../north"), "'../north' is not allowed"),
        (changed(server="hub"), "'hub' is not the address"),
        (changed(server="https://hub:1"), "not the address"),
        (changed(ca="x"), "not a certificate"),
        (changed(ca="\ud800"), "not a certificate"),
        (changed(ca=CA + CA), "not the certificate of one"),
        (changed(ca=issue_certificate(CA, CA_KEY, ["hub"])[0]), "not the certificate of one"),
        (changed(ca=CA + CA_KEY), "PRIVATE key"),
    ],
)
def test_what_is_no_invitation(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_invitation(text)


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_garbage_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_invitation(text)


def test_an_authority_is_kept_without_what_stands_around_it() -> None:
    assert parse_authority(f"Subject: hub\n{CA.replace(chr(10), chr(13) + chr(10))}\n# end\n") == CA
