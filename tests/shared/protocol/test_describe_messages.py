"""Who are you: both messages through the wire, and every way to break them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flwr.app import RecordDict

from shared.errors import ProtocolError
from shared.protocol.describe import DescribeRequest, SiteDescription

Content = Callable[[RecordDict], RecordDict]
Damages = Callable[[RecordDict], Iterator[tuple[str, RecordDict]]]

REQUEST = DescribeRequest("20250101-run")
REPLY = SiteDescription(name="north", base="sha256:ab", images=40, patients=31)


def test_both_survive_the_wire(on_the_wire: Content) -> None:
    assert DescribeRequest.from_content(on_the_wire(REQUEST.to_content())) == REQUEST
    assert SiteDescription.from_content(on_the_wire(REPLY.to_content())) == REPLY


def test_every_damage_is_refused(on_the_wire: Content, damaged: Damages) -> None:
    tried = []
    for what, content in damaged(REQUEST.to_content()):
        with pytest.raises(ProtocolError):
            pytest.fail(f"{what}: {DescribeRequest.from_content(on_the_wire(content))}")
        tried.append(what)
    for what, content in damaged(REPLY.to_content()):
        with pytest.raises(ProtocolError):
            pytest.fail(f"{what}: {SiteDescription.from_content(on_the_wire(content))}")
        tried.append(what)
    for field in ("run", "name", "base", "images", "patients", "protocol"):
        assert any(f"without {field}" in what for what in tried)


def test_names_that_would_leave_their_folder() -> None:
    with pytest.raises(ProtocolError, match="'run' is not a plain name"):
        DescribeRequest.from_content(DescribeRequest("../../tmp/x").to_content())
    with pytest.raises(ProtocolError, match="'name' is not a plain name"):
        SiteDescription.from_content(SiteDescription("../x", "sha256:ab", 1, 1).to_content())


def test_a_site_without_images_or_patients() -> None:
    for images, patients in [(0, 1), (1, 0)]:
        with pytest.raises(ProtocolError, match="not an integer of at least 1"):
            SiteDescription.from_content(SiteDescription("a", "b", images, patients).to_content())
